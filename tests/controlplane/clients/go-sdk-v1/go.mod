// The module of a client that tests drive; its sums are in go.sum.
module meshwright.test/go-sdk-v1

go 1.21

require github.com/aws/aws-sdk-go v1.55.8

require github.com/jmespath/go-jmespath v0.4.0 // indirect
