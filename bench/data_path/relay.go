// Command relay passes TCP connections on: relay PORT ADDRESS PORT [connect | accept CERTIFICATE KEY].
//
// It does what any proxy must, and no more: one loop waits for what comes, reads it and writes it to the other side. By
// system calls, for Go's own connections cost more than that: its scheduler stands between. With `accept` the clients
// speak TLS, with `connect` the server does. Nobody asks who the other is: that is of the handshake alone.
package main

import (
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strconv"
	"syscall"
	"time"
)

// side is one side of a connection.
type side interface {
	io.ReadWriter
	Close() error
}

// socket is a TCP connection by system calls. Reading does not wait, unless it is told to; writing does.
type socket struct {
	fd    int
	waits bool
}

// again says that there is nothing to read yet. To Go's TLS it is a time-out, after which it goes on where it was.
type again struct{}

func (again) Error() string   { return "nothing to read" }
func (again) Timeout() bool   { return true }
func (again) Temporary() bool { return true }

func (s *socket) Read(buffer []byte) (int, error) {
	flags := syscall.MSG_DONTWAIT
	if s.waits {
		flags = 0
	}
	count, _, err := syscall.Recvfrom(s.fd, buffer, flags)
	switch {
	case err == syscall.EAGAIN || err == syscall.EINTR:
		return 0, again{}
	case err != nil:
		return 0, err
	case count == 0:
		return 0, io.EOF
	}
	return count, nil
}

func (s *socket) Write(buffer []byte) (int, error) {
	for left := buffer; len(left) > 0; {
		written, err := syscall.Write(s.fd, left)
		if err != nil && err != syscall.EINTR {
			return len(buffer) - len(left), err
		}
		left = left[max(written, 0):]
	}
	return len(buffer), nil
}

func (s *socket) Close() error                     { return syscall.Close(s.fd) }
func (s *socket) LocalAddr() net.Addr              { return nil }
func (s *socket) RemoteAddr() net.Addr             { return nil }
func (s *socket) SetDeadline(time.Time) error      { return nil }
func (s *socket) SetReadDeadline(time.Time) error  { return nil }
func (s *socket) SetWriteDeadline(time.Time) error { return nil }

func main() {
	runtime.GOMAXPROCS(1)
	listener := open()
	check(syscall.SetsockoptInt(listener, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1))
	check(syscall.Bind(listener, &syscall.SockaddrInet4{Port: port(os.Args[1])}))
	check(syscall.Listen(listener, syscall.SOMAXCONN))
	target := &syscall.SockaddrInet4{Addr: netip.MustParseAddr(os.Args[2]).As4(), Port: port(os.Args[3])}
	accepts, connects := secured(os.Args[4:])

	loop, err := syscall.EpollCreate1(0)
	check(err)
	watch(loop, listener)
	sides, others := map[int]side{}, map[int]int{}
	// One event at a time: a later one could be for a socket that is closed by then, whose number a new one has.
	events, buffer := make([]syscall.EpollEvent, 1), make([]byte, 1<<16)
	for {
		_, err := syscall.EpollWait(loop, events, -1)
		if err == syscall.EINTR {
			continue
		}
		check(err)
		from := int(events[0].Fd)
		if from == listener {
			near, _, err := syscall.Accept(listener)
			check(err)
			far := open()
			if syscall.Connect(far, target) != nil {
				syscall.Close(near)
				syscall.Close(far)
				continue
			}
			for _, one := range []int{near, far} {
				check(syscall.SetsockoptInt(one, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1))
			}
			there, err := made(far, connects, tls.Client)
			here, failed := made(near, accepts, tls.Server)
			if err != nil || failed != nil {
				syscall.Close(near)
				syscall.Close(far)
				continue
			}
			sides[near], sides[far], others[near], others[far] = here, there, far, near
			for _, one := range []int{near, far} {
				watch(loop, one)
				pass(sides[one], sides[others[one]], buffer) // what came with the handshake
			}
		} else if to := others[from]; !pass(sides[from], sides[to], buffer) {
			for _, one := range []int{from, to} {
				sides[one].Close()
				delete(sides, one)
				delete(others, one)
			}
		}
	}
}

// pass writes what can be read, and tells whether both sides are still there.
func pass(from, to side, buffer []byte) bool {
	for {
		count, err := from.Read(buffer)
		if count > 0 {
			if _, failed := to.Write(buffer[:count]); failed != nil {
				return false
			}
		}
		if wait, is := err.(net.Error); is && wait.Timeout() {
			return true
		}
		if err != nil {
			return false
		}
		// A socket has told that it is to be read again; TLS may hold what no socket tells of.
		if _, plain := from.(*socket); plain {
			return true
		}
	}
}

// made returns one side of a connection, after its handshake if it has one.
func made(fd int, with *tls.Config, role func(net.Conn, *tls.Config) *tls.Conn) (side, error) {
	plain := &socket{fd: fd}
	if with == nil {
		return plain, nil
	}
	plain.waits = true
	secure := role(plain, with)
	err := secure.Handshake()
	plain.waits = false
	return secure, err
}

// secured returns how clients are spoken with, and how the server; nil is without TLS.
func secured(arguments []string) (accepts, connects *tls.Config) {
	if len(arguments) == 0 {
		return nil, nil
	}
	if arguments[0] == "connect" {
		return nil, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13, DynamicRecordSizingDisabled: true}
	}
	own, err := tls.LoadX509KeyPair(arguments[1], arguments[2])
	check(err)
	certificates := []tls.Certificate{own}
	return &tls.Config{Certificates: certificates, MinVersion: tls.VersionTLS13, DynamicRecordSizingDisabled: true}, nil
}

func open() int {
	made, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	check(err)
	return made
}

func watch(loop, one int) {
	check(syscall.EpollCtl(loop, syscall.EPOLL_CTL_ADD, one, &syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(one)}))
}

func port(text string) int {
	number, err := strconv.Atoi(text)
	check(err)
	return number
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
