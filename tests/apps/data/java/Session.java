import com.sun.net.httpserver.HttpServer;
import java.io.File;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.ByteBuffer;
import java.nio.MappedByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import java.util.stream.LongStream;

/** What a virtual machine asks of a kernel: implicit null checks by SIGSEGV, safepoints, many threads, mapped memory. */
public class Session {
  private static volatile Object sink;
  private int field = 7;

  private static int readField(Session session) {
    return session.field; // Compiled code does not test for null: the fault is the test.
  }

  private static void nullChecks() {
    int caught = 0;
    long sum = 0;
    Session some = new Session();
    for (int i = 0; i < 300_000; i++) {
      try {
        sum += readField(i % 1000 == 0 ? null : some);
      } catch (NullPointerException exception) {
        caught++;
      }
    }
    System.out.println("null pointers caught: " + caught + ", sum " + sum);
    try {
      System.out.println(1 / (caught - caught));
    } catch (ArithmeticException exception) {
      System.out.println("caught: " + exception.getMessage());
    }
  }

  private static int recurse(int depth) {
    return recurse(depth + 1) + 1;
  }

  private static void stackOverflow() throws InterruptedException {
    Runnable overflow = () -> {
      try {
        recurse(0);
      } catch (StackOverflowError error) {
        System.out.println("stack overflow caught");
      }
    };
    overflow.run();
    Thread thread = new Thread(null, overflow, "deep", 1 << 20);
    thread.start();
    thread.join();
  }

  private static void threads() throws Exception {
    AtomicLong total = new AtomicLong();
    ConcurrentHashMap<Integer, Long> map = new ConcurrentHashMap<>();
    Object monitor = new Object();
    long[] guarded = {0};
    List<Thread> started = new ArrayList<>();
    for (int t = 0; t < 24; t++) {
      int number = t;
      Thread thread = new Thread(() -> {
        for (int i = 0; i < 5000; i++) {
          total.addAndGet(i);
          map.merge((i * number) % 97, 1L, Long::sum);
          synchronized (monitor) {
            guarded[0]++;
          }
        }
      });
      thread.start();
      started.add(thread);
    }
    for (Thread thread : started) {
      thread.join();
    }
    long merged = map.values().stream().mapToLong(Long::longValue).sum();
    System.out.println("threads: " + total + " " + merged + " " + guarded[0]);
    System.out.println("parallel stream: " + LongStream.range(0, 2_000_000).parallel().filter(n -> n % 3 == 0).sum());
    CountDownLatch latch = new CountDownLatch(1);
    Thread sleeper = new Thread(() -> {
      try {
        Thread.sleep(60_000);
      } catch (InterruptedException exception) {
        latch.countDown();
      }
    });
    sleeper.start();
    sleeper.interrupt();
    System.out.println("interrupted: " + latch.await(20, TimeUnit.SECONDS));
  }

  private static void garbage() {
    List<byte[]> kept = new ArrayList<>();
    long allocated = 0;
    for (int i = 0; i < 6000; i++) {
      byte[] block = new byte[50_000];
      block[i % block.length] = (byte) i;
      allocated += block.length;
      sink = block;
      if (i % 20 == 0) {
        kept.add(block);
      }
    }
    System.gc();
    System.out.println("allocated " + allocated + ", kept " + kept.size());
    try {
      List<byte[]> tooMuch = new ArrayList<>();
      while (true) {
        tooMuch.add(new byte[32 << 20]);
      }
    } catch (OutOfMemoryError error) {
      System.out.println("out of memory caught");
    }
  }

  private static void files() throws Exception {
    Path path = Files.createTempFile("session", ".data");
    try (FileChannel channel = FileChannel.open(path, StandardOpenOption.READ, StandardOpenOption.WRITE)) {
      MappedByteBuffer view = channel.map(FileChannel.MapMode.READ_WRITE, 0, 1 << 20);
      for (int i = 0; i < 1 << 20; i += 8) {
        view.putLong(i, i * 31L);
      }
      view.force();
      ByteBuffer buffer = ByteBuffer.allocateDirect(64);
      channel.read(buffer, 4096);
      System.out.println("mapped " + buffer.getLong(0) + " locked " + channel.tryLock().isValid());
    }
    byte[] digest = MessageDigest.getInstance("SHA-256").digest(Files.readAllBytes(path));
    System.out.println("digest " + digest[0] + " " + digest[31]);
    Files.delete(path);
    Process process = new ProcessBuilder("sh", "-c", "read x; echo got $x; exit 3").redirectErrorStream(true).start();
    process.getOutputStream().write("input\n".getBytes(StandardCharsets.UTF_8));
    process.getOutputStream().close();
    System.out.print(new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8));
    System.out.println("child: " + process.waitFor() + ", no such program: " + startFails());
  }

  private static boolean startFails() {
    try {
      new ProcessBuilder(new File("/no/such/program").getPath()).start();
      return false;
    } catch (IOException exception) {
      return true;
    }
  }

  private static void serve(int port) throws IOException {
    HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", port), 0);
    server.setExecutor(Executors.newFixedThreadPool(4));
    server.createContext("/", exchange -> {
      byte[] answer = "hello from the virtual machine\n".getBytes(StandardCharsets.UTF_8);
      exchange.sendResponseHeaders(200, answer.length);
      exchange.getResponseBody().write(answer);
      exchange.close();
    });
    server.start();
  }

  public static void main(String[] arguments) throws Exception {
    if (arguments.length > 0) {
      serve(Integer.parseInt(arguments[0]));
      return;
    }
    nullChecks();
    stackOverflow();
    threads();
    garbage();
    files();
    Runtime.getRuntime().addShutdownHook(new Thread(() -> System.out.println("shutdown hook")));
    System.exit(0);
  }
}
