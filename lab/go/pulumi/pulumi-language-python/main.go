// Command pulumi-language-python lets the pulumi CLI run Python programs. The
// virtual environment handling is the SDK's own (sdk/python/toolchain), the
// program is run by the SDK's own pulumi-language-python-exec, embedded at
// build time; this file is only the LanguageRuntime service between them.
package main

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/common/util/rpcutil"
	"github.com/pulumi/pulumi/sdk/v3/go/common/version"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"github.com/pulumi/pulumi/sdk/v3/python/toolchain"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/emptypb"
)

//go:generate go mod download github.com/pulumi/pulumi/sdk/v3
//go:generate sh -c "cp $(go list -m -f {{.Dir}} github.com/pulumi/pulumi/sdk/v3)/python/cmd/pulumi-language-python-exec ."

//go:embed pulumi-language-python-exec
var execScript []byte

// pluginScript prints what the installed packages say about their plugins.
const pluginScript = `
import importlib.metadata as m, json
out, seen = [], set()
for d in m.distributions():
    name = d.metadata["Name"] or ""
    for f in d.files or []:
        if f.name != "pulumi-plugin.json":
            continue
        p = json.loads(f.locate().read_text())
        if not p.get("resource"):
            continue
        p["name"] = p.get("name") or name.replace("_", "-").removeprefix("pulumi-")
        p["version"] = p.get("version") or d.version
        if p["name"] not in seen:
            seen.add(p["name"])
            out.append(p)
print(json.dumps(out))
`

// userError is the exit status with which the exec script says that it has
// shown the reason already.
const userError = 32

type host struct {
	pulumirpc.UnimplementedLanguageRuntimeServer
	engine string
	ctx    context.Context
	cancel context.CancelFunc
}

func tools(info *pulumirpc.ProgramInfo) (toolchain.Toolchain, error) {
	o := toolchain.PythonOptions{Root: info.GetRootDirectory(), ProgramDir: info.GetProgramDirectory()}
	for k, v := range info.GetOptions().AsMap() {
		s, _ := v.(string)
		switch k {
		case "virtualenv":
			o.Virtualenv = s
		case "toolchain":
			switch s {
			case "", "pip":
				o.Toolchain = toolchain.Pip
			case "poetry":
				o.Toolchain = toolchain.Poetry
			case "uv":
				o.Toolchain = toolchain.Uv
			default:
				return nil, fmt.Errorf("unsupported toolchain %q", s)
			}
		case "typechecker":
			if _, err := typechecker(info); err != nil {
				return nil, err
			}
		default:
			return nil, fmt.Errorf("unknown runtime option %q", k)
		}
	}
	return toolchain.ResolveToolchain(o)
}

// typechecker returns the module that checks the program before it runs, or "".
func typechecker(info *pulumirpc.ProgramInfo) (string, error) {
	switch name := info.GetOptions().GetFields()["typechecker"].GetStringValue(); name {
	case "", "none":
		return "", nil
	case "mypy", "pyright":
		return name, nil
	default:
		return "", fmt.Errorf("unsupported typechecker %q", name)
	}
}

// check has the typechecker look at the program. Its complaints are the error.
func check(ctx context.Context, tc toolchain.Toolchain, info *pulumirpc.ProgramInfo) error {
	checker, err := typechecker(info)
	if err != nil || checker == "" {
		return err
	}
	cmd, err := tc.ModuleCommand(ctx, checker, info.GetProgramDirectory())
	if err != nil {
		return err
	}
	cmd.Dir = info.GetProgramDirectory()
	if said, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", checker, err, said)
	}
	return nil
}

func (h *host) Handshake(_ context.Context, r *pulumirpc.LanguageHandshakeRequest) (*pulumirpc.LanguageHandshakeResponse, error) {
	h.engine = r.GetEngineAddress()
	return &pulumirpc.LanguageHandshakeResponse{}, nil
}

func (h *host) GetPluginInfo(context.Context, *emptypb.Empty) (*pulumirpc.PluginInfo, error) {
	return &pulumirpc.PluginInfo{Version: version.Version}, nil
}

func (h *host) Cancel(context.Context, *emptypb.Empty) (*emptypb.Empty, error) {
	h.cancel()
	return &emptypb.Empty{}, nil
}

func (h *host) RuntimeOptionsPrompts(context.Context, *pulumirpc.RuntimeOptionsRequest) (*pulumirpc.RuntimeOptionsResponse, error) {
	return &pulumirpc.RuntimeOptionsResponse{}, nil
}

func (h *host) About(ctx context.Context, r *pulumirpc.AboutRequest) (*pulumirpc.AboutResponse, error) {
	tc, err := tools(r.GetInfo())
	if err != nil {
		return nil, err
	}
	a, err := tc.About(ctx)
	if err != nil {
		return nil, err
	}
	return &pulumirpc.AboutResponse{Executable: a.PythonExecutable, Version: a.PythonVersion.String()}, nil
}

func (h *host) GetProgramDependencies(ctx context.Context, r *pulumirpc.GetProgramDependenciesRequest) (*pulumirpc.GetProgramDependenciesResponse, error) {
	tc, err := tools(r.GetInfo())
	if err != nil {
		return nil, err
	}
	deps, err := tc.ListPackages(ctx, r.GetTransitiveDependencies())
	if err != nil {
		return nil, err
	}
	out := &pulumirpc.GetProgramDependenciesResponse{}
	for _, d := range deps {
		out.Dependencies = append(out.Dependencies, &pulumirpc.DependencyInfo{Name: d.Name, Version: d.Version})
	}
	return out, nil
}

func (h *host) GetRequiredPackages(ctx context.Context, r *pulumirpc.GetRequiredPackagesRequest) (*pulumirpc.GetRequiredPackagesResponse, error) {
	tc, err := tools(r.GetInfo())
	if err != nil {
		return nil, err
	}
	if err := tc.ValidateVenv(ctx); err != nil {
		return nil, err
	}
	cmd, err := tc.Command(ctx, "-c", pluginScript)
	if err != nil {
		return nil, err
	}
	cmd.Dir, cmd.Stderr = r.GetInfo().GetProgramDirectory(), os.Stderr
	raw, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("listing the plugins of the installed packages: %w", err)
	}
	type parameterization struct {
		Name, Version string
		Value         []byte
	}
	var found []struct {
		Name, Version, Server string
		Parameterization      *parameterization
	}
	if err := json.Unmarshal(raw, &found); err != nil {
		return nil, err
	}
	out := &pulumirpc.GetRequiredPackagesResponse{}
	for _, p := range found {
		d := &pulumirpc.PackageDependency{Kind: "resource", Name: p.Name, Version: p.Version, Server: p.Server}
		if q := p.Parameterization; q != nil {
			d.Parameterization = &pulumirpc.PackageParameterization{Name: q.Name, Version: q.Version, Value: q.Value}
		}
		out.Packages = append(out.Packages, d)
	}
	return out, nil
}

type streamWriter func([]byte) error

func (w streamWriter) Write(p []byte) (int, error) { return len(p), w(p) }

func (h *host) InstallDependencies(r *pulumirpc.InstallDependenciesRequest, s grpc.ServerStreamingServer[pulumirpc.InstallDependenciesResponse]) error {
	tc, err := tools(r.GetInfo())
	if err != nil {
		return err
	}
	var out, errw io.Writer = streamWriter(func(p []byte) error {
		return s.Send(&pulumirpc.InstallDependenciesResponse{Stdout: p})
	}), streamWriter(func(p []byte) error {
		return s.Send(&pulumirpc.InstallDependenciesResponse{Stderr: p})
	})
	return tc.InstallDependencies(s.Context(), r.GetInfo().GetProgramDirectory(), r.GetUseLanguageVersionTools(), true, out, errw)
}

func (h *host) Run(ctx context.Context, r *pulumirpc.RunRequest) (*pulumirpc.RunResponse, error) {
	tc, err := tools(r.GetInfo())
	if err != nil {
		return nil, err
	}
	if err := tc.ValidateVenv(ctx); err != nil {
		return nil, err
	}
	if err := check(ctx, tc, r.GetInfo()); err != nil {
		return nil, err
	}
	// Never null: the exec script wants a JSON object and a JSON array.
	config, err := json.Marshal(maps.Collect(maps.All(r.GetConfig())))
	if err != nil {
		return nil, err
	}
	secret, err := json.Marshal(append([]string{}, r.GetConfigSecretKeys()...))
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "pulumi-python-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	script := filepath.Join(dir, "pulumi-language-python-exec")
	if err := os.WriteFile(script, execScript, 0o600); err != nil {
		return nil, err
	}
	args := append([]string{
		"-u", script,
		"--project", r.GetProject(), "--root_directory", r.GetInfo().GetRootDirectory(),
		"--stack", r.GetStack(), "--organization", r.GetOrganization(),
		"--parallel", strconv.Itoa(int(r.GetParallel())), "--dry_run", strconv.FormatBool(r.GetDryRun()),
		"--pwd", r.GetPwd(), "--monitor", r.GetMonitorAddress(), "--engine", h.engine,
		r.GetInfo().GetEntryPoint(),
	}, r.GetArgs()...)
	run, stop := context.WithCancel(ctx)
	defer stop()
	defer context.AfterFunc(h.ctx, stop)()
	cmd, err := tc.Command(run, args...)
	if err != nil {
		return nil, err
	}
	if cmd.Env == nil {
		cmd.Env = os.Environ()
	}
	cmd.Env = append(cmd.Env, "PULUMI_CONFIG="+string(config), "PULUMI_CONFIG_SECRET_KEYS="+string(secret))
	cmd.Dir, cmd.Stdout, cmd.Stderr = r.GetPwd(), os.Stdout, os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) } // an interrupt would print a traceback
	cmd.WaitDelay = 10 * time.Second
	var exit *exec.ExitError
	switch err := cmd.Run(); {
	case err == nil:
		return &pulumirpc.RunResponse{}, nil
	case h.ctx.Err() != nil, errors.As(err, &exit) && exit.ExitCode() == userError:
		return &pulumirpc.RunResponse{Bail: true}, nil
	default:
		return &pulumirpc.RunResponse{Error: fmt.Sprintf("Program %s: %v", strings.Join(cmd.Args[:1], " "), err)}, nil
	}
}

func main() {
	flag.String("tracing", "", "accepted and ignored")
	flag.Parse()
	ctx, cancel := context.WithCancel(context.Background())
	h := &host{ctx: ctx, cancel: cancel}
	stop := make(chan bool)
	if n := flag.NArg(); n > 0 {
		h.engine = flag.Arg(n - 1)
		gone := func() { cancel(); close(stop) }
		if err := rpcutil.Healthcheck(ctx, h.engine, 5*time.Minute, gone); err != nil {
			fmt.Fprintln(os.Stderr, "engine:", err)
			os.Exit(1)
		}
	}
	srv, err := rpcutil.ServeWithOptions(rpcutil.ServeOptions{Cancel: stop, Init: func(s *grpc.Server) error {
		pulumirpc.RegisterLanguageRuntimeServer(s, h)
		return nil
	}})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(srv.Port) // the engine reads the port from our first line
	if err := <-srv.Done; err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
