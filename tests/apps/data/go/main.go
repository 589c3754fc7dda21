// A statically linked program without libc: every system call is the language's own instruction, threads are made by
// raw clone, and goroutines are preempted by signals that must find exact registers.
package main

import (
	"crypto/sha256"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"runtime/debug"
	"sync"
	"syscall"
	"time"
)

func goroutines() {
	var group sync.WaitGroup
	var lock sync.Mutex
	total := 0
	channel := make(chan int)
	for n := 0; n < 200; n++ {
		group.Add(1)
		go func(n int) {
			defer group.Done()
			for i := 0; i < 50; i++ {
				channel <- n
			}
		}(n)
	}
	go func() { group.Wait(); close(channel) }()
	for n := range channel {
		lock.Lock()
		total += n
		lock.Unlock()
	}
	fmt.Println("goroutines", total)
}

// A loop without calls can only be interrupted by a signal.
func preemption() {
	runtime.GOMAXPROCS(1)
	done := make(chan bool)
	stop := false
	go func() {
		time.Sleep(10 * time.Millisecond)
		done <- true
	}()
	go func() {
		for x := 0; !stop; x++ {
		}
	}()
	<-done
	runtime.GOMAXPROCS(2)
	fmt.Println("preempted")
}

func blockingThreads() {
	var group sync.WaitGroup
	var ends [2]int
	for n := 0; n < 40; n++ {
		if err := syscall.Pipe(ends[:]); err != nil {
			fmt.Println(err)
			return
		}
		group.Add(1)
		go func(reader, writer int) {
			defer group.Done()
			runtime.LockOSThread() // The thread ends with the goroutine.
			go syscall.Write(writer, []byte{1})
			syscall.Read(reader, make([]byte, 1))
			syscall.Close(reader)
			syscall.Close(writer)
		}(ends[0], ends[1])
	}
	group.Wait()
	fmt.Println("blocking threads ended")
}

func collect() {
	debug.SetGCPercent(10)
	kept := make([][]byte, 50)
	for i := 0; i < 5000; i++ {
		kept[i%50] = make([]byte, 20000)
		kept[i%50][i] = byte(i)
	}
	fmt.Println("collected", len(kept))
	x := new(big.Int).Exp(big.NewInt(3), big.NewInt(20000), nil)
	fmt.Printf("big %x\n", sha256.Sum256(x.Bytes()))
}

func faults() {
	defer func() { fmt.Println("recovered:", recover()) }()
	var nothing *int
	fmt.Println(*nothing)
}

func signals() {
	notified := make(chan os.Signal, 1)
	signal.Notify(notified, syscall.SIGUSR1)
	syscall.Kill(os.Getpid(), syscall.SIGUSR1)
	fmt.Println("signal", <-notified)
}

func children() {
	for n := 0; n < 10; n++ {
		err := exec.Command("/bin/sh", "-c", fmt.Sprintf("exit %d", n)).Run()
		if n == 9 {
			fmt.Println("child:", err)
		}
	}
	output, _ := exec.Command("echo", "from a child").Output()
	fmt.Print(string(output))
	_, err := exec.Command("/no/such/program").Output()
	fmt.Println(err)
}

func serve() {
	http.HandleFunc("/hello", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "hello from go\n") })
	http.HandleFunc("/digest", func(w http.ResponseWriter, r *http.Request) {
		hash := sha256.New()
		io.Copy(hash, r.Body)
		fmt.Fprintf(w, "%x\n", hash.Sum(nil))
	})
	http.HandleFunc("/child", func(w http.ResponseWriter, r *http.Request) {
		output, err := exec.Command("/bin/echo", "child of the server").Output()
		fmt.Fprint(w, string(output), err, "\n")
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("listening on", listener.Addr())
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGTERM)
	go http.Serve(listener, nil)
	<-ended
}

func main() {
	switch os.Args[1] {
	case "serve":
		serve()
	case "panic":
		panic("on purpose")
	default:
		goroutines()
		preemption()
		blockingThreads()
		collect()
		faults()
		signals()
		children()
	}
}
