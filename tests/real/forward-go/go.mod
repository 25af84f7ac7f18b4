module forward

go 1.19

require github.com/fluent/fluent-logger-golang v1.9.0
