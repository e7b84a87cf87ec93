// A client of App Mesh's API made with the AWS SDK for Go v1, which the App Mesh controller for
// Kubernetes uses. It carries out calls that it reads as JSON, one a line:
//
//	{"operation": "DescribeMesh", "input": {"meshName": "demo"}}
//
// and answers each with what the SDK made of the answer, in Go's own names:
//
//	{"output": {"Mesh": {"MeshName": "demo", ...}}}
//	{"error": {"type": "*appmesh.NotFoundException", "code": "NotFoundException", ...}}
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"reflect"

	"github.com/aws/aws-sdk-go/aws"
	"github.com/aws/aws-sdk-go/aws/awserr"
	"github.com/aws/aws-sdk-go/aws/session"
	"github.com/aws/aws-sdk-go/service/appmesh"
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
	// Endpoint, region and keys come from the environment; the SDK's own retries would hide answers.
	configured, err := session.NewSession(aws.NewConfig().WithMaxRetries(0).WithEndpoint(os.Getenv("AWS_ENDPOINT_URL")))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	client := appmesh.New(configured)
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
func carryOut(client *appmesh.AppMesh, next call) (any, error) {
	method := reflect.ValueOf(client).MethodByName(next.Operation)
	if !method.IsValid() {
		return nil, fmt.Errorf("the SDK has no operation %q", next.Operation)
	}
	input := reflect.New(method.Type().In(0).Elem())
	if err := json.Unmarshal(next.Input, input.Interface()); err != nil {
		return nil, err
	}
	results := method.Call([]reflect.Value{input})
	err, _ := results[1].Interface().(error)
	return results[0].Interface(), err
}

func describe(err error) *failure {
	told := &failure{Type: fmt.Sprintf("%T", err), Message: err.Error()}
	var known awserr.Error
	if errors.As(err, &known) {
		told.Code, told.Message = known.Code(), known.Message()
	}
	var refused awserr.RequestFailure
	if errors.As(err, &refused) {
		told.Status, told.RequestID = refused.StatusCode(), refused.RequestID()
	}
	return told
}
