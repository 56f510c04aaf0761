// Command relay passes TCP connections on unchanged: relay PORT ADDRESS PORT.
//
// It does only what every proxy must do: one loop waits for data, reads it and writes it to the other side.
// It uses system calls, because Go's own connections cost more: Go's scheduler comes in between.
package main

import (
	"log"
	"net/netip"
	"os"
	"runtime"
	"strconv"
	"syscall"
)

func main() {
	runtime.GOMAXPROCS(1)
	listener := socket()
	check(syscall.SetsockoptInt(listener, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1))
	check(syscall.Bind(listener, &syscall.SockaddrInet4{Port: port(os.Args[1])}))
	check(syscall.Listen(listener, syscall.SOMAXCONN))
	target := &syscall.SockaddrInet4{Addr: netip.MustParseAddr(os.Args[2]).As4(), Port: port(os.Args[3])}

	loop, err := syscall.EpollCreate1(0)
	check(err)
	watch(loop, listener)
	others := map[int]int{}
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
			far := socket()
			if syscall.Connect(far, target) != nil {
				syscall.Close(near)
				syscall.Close(far)
				continue
			}
			others[near], others[far] = far, near
			for _, one := range []int{near, far} {
				check(syscall.SetsockoptInt(one, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1))
				watch(loop, one)
			}
		} else if to := others[from]; !pass(from, to, buffer) {
			for _, one := range []int{from, to} {
				delete(others, one)
				syscall.Close(one)
			}
		}
	}
}

// pass writes what can be read, and tells whether both sides are still there.
func pass(from, to int, buffer []byte) bool {
	count, err := syscall.Read(from, buffer)
	for left := buffer[:max(count, 0)]; len(left) > 0 && err == nil; {
		var written int
		written, err = syscall.Write(to, left)
		left = left[max(written, 0):]
	}
	return count > 0 && err == nil
}

func socket() int {
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
