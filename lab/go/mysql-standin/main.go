// A stand-in for Percona XtraDB Cluster and HAProxy, whose images the lab cannot get. It holds no data.
//
// It is one program under several names, those that Percona's operator calls: the init containers install it as the
// entrypoints and probes of the database's and the proxy's containers. As mysql it is the client, as far as dcmesh uses it.
package main

import (
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const (
	databaseDirectory = "/var/lib/mysql"
	proxyDirectory    = "/opt/percona"
)

func main() {
	if err := run(filepath.Base(os.Args[0]), os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "mysql-standin:", err)
		os.Exit(1)
	}
}

func run(name string, arguments []string) error {
	hostname, err := os.Hostname()
	if err != nil {
		return err
	}
	switch name {
	case "pxc-init-entrypoint.sh":
		return install(databaseDirectory, "pxc-entrypoint.sh", "readiness-check.sh", "liveness-check.sh")
	case "haproxy-init-entrypoint.sh":
		return install(proxyDirectory, "haproxy-entrypoint.sh", "haproxy_readiness_check.sh", "haproxy_liveness_check.sh")
	case "pxc-entrypoint.sh":
		return serve(hostname, "3306", "33062", "33060")
	case "haproxy-entrypoint.sh":
		if arguments[0] != "haproxy" { // the container that tells the real proxy who its servers are
			time.Sleep(math.MaxInt64)
		}
		cluster, _, _ := strings.Cut(hostname, "-haproxy-")
		return pass(fmt.Sprintf("%s-pxc-0.%s-pxc", cluster, cluster), "3306", "33062")
	case "mysql":
		return ask(arguments)
	case "readiness-check.sh", "liveness-check.sh", "haproxy_readiness_check.sh", "haproxy_liveness_check.sh":
		connection, err := net.DialTimeout("tcp", "127.0.0.1:3306", time.Second)
		if err == nil {
			connection.Close()
		}
		return err
	}
	return fmt.Errorf("has no use as %s", name)
}

// install copies this program under each name.
func install(directory string, names ...string) error {
	for _, name := range names {
		if err := copyOfThis(filepath.Join(directory, name)); err != nil {
			return err
		}
	}
	return nil
}

func copyOfThis(path string) error {
	source, err := os.Open("/proc/self/exe")
	if err != nil {
		return err
	}
	defer source.Close()
	target, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o755)
	if err != nil {
		return err
	}
	if _, err := io.Copy(target, source); err != nil {
		return err
	}
	return target.Close()
}
