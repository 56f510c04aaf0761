// Command pulumi-resource-command runs local commands as Pulumi resources,
// with the tokens and properties of the pulumi_command SDK (local module only).
package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	p "github.com/pulumi/pulumi-go-provider"
	"github.com/pulumi/pulumi-go-provider/infer"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
)

// Version is set by the linker to the version of the SDK that it serves.
var Version string

// Logging says which streams are shown to the user while the command runs.
type Logging string

// Values lists the values of the SDK's enumeration.
func (Logging) Values() []infer.EnumValue[Logging] {
	return []infer.EnumValue[Logging]{
		{Name: "Stdout", Value: "stdout", Description: "Capture stdout in logs but not stderr"},
		{Name: "Stderr", Value: "stderr", Description: "Capture stderr in logs but not stdout"},
		{Name: "StdoutAndStderr", Value: "stdoutAndStderr", Description: "Capture stdout and stderr in logs"},
		{Name: "None", Value: "none", Description: "Capture no logs"},
	}
}

// Base holds what the resource and the function have in common.
type Base struct {
	AddPreviousOutputInEnv *bool             `pulumi:"addPreviousOutputInEnv,optional"`
	ArchivePaths           []string          `pulumi:"archivePaths,optional"`
	AssetPaths             []string          `pulumi:"assetPaths,optional"`
	Dir                    *string           `pulumi:"dir,optional"`
	Environment            map[string]string `pulumi:"environment,optional"`
	Interpreter            []string          `pulumi:"interpreter,optional"`
	Logging                *Logging          `pulumi:"logging,optional"`
	Stdin                  *string           `pulumi:"stdin,optional"`
}

// Output is what a run leaves behind.
type Output struct {
	Stderr string `pulumi:"stderr"`
	Stdout string `pulumi:"stdout"`
}

// Args are the inputs of the resource.
type Args struct {
	Base
	Create   *string `pulumi:"create,optional"`
	Delete   *string `pulumi:"delete,optional"`
	Triggers []any   `pulumi:"triggers,optional" provider:"replaceOnChanges"`
	Update   *string `pulumi:"update,optional"`
}

// State is what is kept of the resource.
type State struct {
	Args
	Output
}

// lines passes complete lines on to the engine's log.
type lines struct {
	w    *io.PipeWriter
	done chan struct{}
}

func logTo(show func(string)) lines {
	r, w := io.Pipe()
	l := lines{w, make(chan struct{})}
	go func() {
		defer close(l.done)
		for s := bufio.NewReader(r); ; {
			line, err := s.ReadString('\n')
			if line = strings.TrimRight(line, "\r\n"); line != "" {
				show(line)
			}
			if err != nil {
				return
			}
		}
	}()
	return l
}

func (l lines) close() { l.w.Close(); <-l.done }

// locked lets two streams share one buffer.
type locked struct {
	sync.Mutex
	bytes.Buffer
}

func (b *locked) Write(d []byte) (int, error) {
	b.Lock()
	defer b.Unlock()
	return b.Buffer.Write(d)
}

// run executes one command line; last holds the output of the previous run.
func (b Base) run(ctx context.Context, command string, last *Output) (Output, error) {
	if len(b.ArchivePaths)+len(b.AssetPaths) > 0 {
		return Output{}, errors.New("assetPaths and archivePaths are not supported by this build")
	}
	args := b.Interpreter
	if len(args) == 0 {
		args = []string{"/bin/sh", "-c"}
	}
	args = append(append([]string{}, args...), command)
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	cmd.Env = os.Environ()
	if last != nil && (b.AddPreviousOutputInEnv == nil || *b.AddPreviousOutputInEnv) {
		cmd.Env = append(cmd.Env, "PULUMI_COMMAND_STDOUT="+last.Stdout, "PULUMI_COMMAND_STDERR="+last.Stderr)
	}
	for k, v := range b.Environment {
		cmd.Env = append(cmd.Env, k+"="+v)
	}
	if b.Dir != nil {
		cmd.Dir = *b.Dir
	}
	if b.Stdin != nil {
		cmd.Stdin = strings.NewReader(*b.Stdin)
	}
	logging := Logging("stdoutAndStderr")
	if b.Logging != nil && *b.Logging != "" {
		logging = *b.Logging
	}
	var stdout, stderr bytes.Buffer
	var both locked
	stream := func(own *bytes.Buffer, show bool) (io.Writer, func()) {
		if !show {
			return io.MultiWriter(own, &both), func() {}
		}
		l := logTo(p.GetLogger(ctx).Info)
		return io.MultiWriter(own, &both, l.w), l.close
	}
	var outDone, errDone func()
	cmd.Stdout, outDone = stream(&stdout, logging == "stdout" || logging == "stdoutAndStderr")
	cmd.Stderr, errDone = stream(&stderr, logging == "stderr" || logging == "stdoutAndStderr")
	err := cmd.Run()
	outDone()
	errDone()
	if err != nil {
		return Output{}, fmt.Errorf("%w: running %q:\n%s", err, command, both.String())
	}
	return Output{
		Stdout: strings.TrimSuffix(stdout.String(), "\n"),
		Stderr: strings.TrimSuffix(stderr.String(), "\n"),
	}, nil
}

// Command is the resource command:local:Command.
type Command struct{}

// Annotate names the resource.
func (*Command) Annotate(a infer.Annotator) { a.SetToken("local", "Command") }

// Create runs the command `create`.
func (Command) Create(ctx context.Context, r infer.CreateRequest[Args]) (infer.CreateResponse[State], error) {
	out := infer.CreateResponse[State]{Output: State{Args: r.Inputs}}
	var err error
	if out.ID, err = resource.NewUniqueHex(r.Name, 8, 0); err != nil {
		return out, err
	}
	if r.DryRun || r.Inputs.Create == nil {
		return out, nil
	}
	out.Output.Output, err = r.Inputs.run(ctx, *r.Inputs.Create, nil)
	return out, err
}

// Update runs the command `update`, or `create` again if there is none.
func (Command) Update(ctx context.Context, r infer.UpdateRequest[Args, State]) (infer.UpdateResponse[State], error) {
	out := infer.UpdateResponse[State]{Output: State{Args: r.Inputs, Output: r.State.Output}}
	command := r.Inputs.Update
	if command == nil {
		command = r.Inputs.Create
	}
	if r.DryRun || command == nil {
		return out, nil
	}
	var err error
	out.Output.Output, err = r.Inputs.run(ctx, *command, &r.State.Output)
	return out, err
}

// Delete runs the command `delete`.
func (Command) Delete(ctx context.Context, r infer.DeleteRequest[State]) (infer.DeleteResponse, error) {
	if r.State.Delete == nil {
		return infer.DeleteResponse{}, nil
	}
	_, err := r.State.run(ctx, *r.State.Delete, &r.State.Output)
	return infer.DeleteResponse{}, err
}

// Run is the function command:local:run.
type Run struct{}

// RunArgs are the inputs of the function.
type RunArgs struct {
	Base
	Command string `pulumi:"command"`
}

// RunResult is what the function returns.
type RunResult struct {
	RunArgs
	Output
}

// Annotate names the function.
func (*Run) Annotate(a infer.Annotator) { a.SetToken("local", "run") }

// Invoke runs the command.
func (Run) Invoke(ctx context.Context, r infer.FunctionRequest[RunArgs]) (infer.FunctionResponse[RunResult], error) {
	out, err := r.Input.run(ctx, r.Input.Command, nil)
	return infer.FunctionResponse[RunResult]{Output: RunResult{r.Input, out}}, err
}

func main() {
	provider, err := infer.NewProviderBuilder().
		WithDescription("Local commands as Pulumi resources.").
		WithResources(infer.Resource(Command{})).
		WithFunctions(infer.Function(Run{})).
		Build()
	if err == nil {
		err = p.RunProvider(context.Background(), "command", Version, provider)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "pulumi-resource-command:", err)
		os.Exit(1)
	}
}
