// A client of App Mesh's API made with the AWS SDK for Go v2. It takes and answers calls as
// go-sdk-v1 does. Inputs may hold no union, which is an interface in this SDK, so that JSON can't be
// read into it.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"reflect"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/appmesh"
	"github.com/aws/smithy-go"
)

type call struct {
	Operation string          `json:"operation"`
	Input     json.RawMessage `json:"input"`
}

type failure struct {
	Type      string `json:"type"`
	Code      string `json:"code"`
	Message   string `json:"message"`
	Status    int    `json:"status"`
	RequestID string `json:"request_id"`
}

type answer struct {
	Output any      `json:"output,omitempty"`
	Error  *failure `json:"error,omitempty"`
}

func main() {
	client := appmesh.New(appmesh.Options{
		BaseEndpoint: aws.String(os.Getenv("AWS_ENDPOINT_URL")),
		Region:       os.Getenv("AWS_REGION"),
		Credentials: credentials.NewStaticCredentialsProvider(
			os.Getenv("AWS_ACCESS_KEY_ID"), os.Getenv("AWS_SECRET_ACCESS_KEY"), "",
		),
		// Retries would hide answers. Go's transport, though, now and then closes a connection whose
		// answer is still being read, for which this SDK has no remedy but to ask again.
		Retryer: retry.NewStandard(func(options *retry.StandardOptions) {
			options.Retryables = []retry.IsErrorRetryable{retry.RetryableConnectionError{}}
		}),
	})
	calls, answers := json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)
	for {
		var next call
		if err := calls.Decode(&next); err != nil {
			return
		}
		output, err := carryOut(client, next)
		if err != nil {
			_ = answers.Encode(answer{Error: describe(err)})
		} else {
			_ = answers.Encode(answer{Output: output})
		}
	}
}

// carryOut calls the client's method of the operation's name.
func carryOut(client *appmesh.Client, next call) (any, error) {
	method := reflect.ValueOf(client).MethodByName(next.Operation)
	if !method.IsValid() {
		return nil, fmt.Errorf("the SDK has no operation %q", next.Operation)
	}
	input := reflect.New(method.Type().In(1).Elem())
	if err := json.Unmarshal(next.Input, input.Interface()); err != nil {
		return nil, err
	}
	results := method.Call([]reflect.Value{reflect.ValueOf(context.Background()), input})
	err, _ := results[1].Interface().(error)
	return results[0].Interface(), err
}

// describe tells of an error what the SDK knows: of a modelled exception its own type.
func describe(err error) *failure {
	told := &failure{Type: fmt.Sprintf("%T", err), Message: err.Error()}
	var known smithy.APIError
	if errors.As(err, &known) {
		told.Type, told.Code, told.Message = fmt.Sprintf("%T", known), known.ErrorCode(), known.ErrorMessage()
	}
	var refused *awshttp.ResponseError
	if errors.As(err, &refused) {
		told.Status, told.RequestID = refused.HTTPStatusCode(), refused.ServiceRequestID()
	}
	return told
}
