import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.Executors;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** {@code java Main consume}: the ledger in Java, with the flags and HTTP answers of {@code ledger consume}. */
public final class Main {
    private static final Set<String> FLAGS =
        Set.of("broker", "in", "out", "queue-type", "prefetch", "service", "memory", "listen");

    public static void main(String[] args) throws Exception {
        Map<String, String> flags;
        Service.Options options;
        try {
            flags = parse(args);
            options = options(flags);
        } catch (IllegalArgumentException e) {
            System.err.println("ledger: checking flags: " + e.getMessage());
            System.exit(1);
            return;
        }
        Service service = new Service(options);
        serve(service, flags.getOrDefault("listen", ":8080"));
        service.run();
    }

    private static Map<String, String> parse(String[] args) {
        if (args.length == 0 || !args[0].equals("consume")) {
            throw new IllegalArgumentException("the only command is consume");
        }
        Map<String, String> flags = new HashMap<>();
        for (int i = 1; i < args.length; i++) {
            Matcher flag = Pattern.compile("--([a-z-]+)=(.*)").matcher(args[i]);
            if (!flag.matches() || !FLAGS.contains(flag.group(1))) {
                throw new IllegalArgumentException(args[i] + " is none of " + FLAGS + " in the form --FLAG=VALUE");
            }
            flags.put(flag.group(1), flag.group(2));
        }
        return flags;
    }

    private static Service.Options options(Map<String, String> flags) {
        String broker = flags.getOrDefault("broker", System.getenv("BROKER"));
        if (broker == null) {
            throw new IllegalArgumentException("no broker: give --broker or set BROKER to an AMQP URI");
        }
        return new Service.Options(broker, flags.getOrDefault("in", "ledger.in"), flags.getOrDefault("out", "ledger.out"),
            flags.getOrDefault("queue-type", "classic"), Integer.parseInt(flags.getOrDefault("prefetch", "20")),
            millis(flags.getOrDefault("service", "5ms")), Integer.parseInt(flags.getOrDefault("memory", "0")));
    }

    /** Of "5ms" or "1.5s". */
    private static long millis(String text) {
        Matcher duration = Pattern.compile("([0-9.]+)(ms|s)").matcher(text);
        if (!duration.matches()) {
            throw new IllegalArgumentException(text + " is no duration such as 5ms or 1.5s");
        }
        return Math.round(Double.parseDouble(duration.group(1)) * (duration.group(2).equals("ms") ? 1 : 1000));
    }

    private static void serve(Service service, String listen) throws IOException {
        int colon = listen.lastIndexOf(':');
        String host = listen.substring(0, colon);
        int port = Integer.parseInt(listen.substring(colon + 1));
        InetSocketAddress address = host.isEmpty() ? new InetSocketAddress(port) : new InetSocketAddress(InetAddress.getByName(host), port);
        HttpServer server = HttpServer.create(address, 0);
        server.createContext("/healthz", exchange -> answer(exchange, "text/plain", "ok\n"));
        server.createContext("/state", exchange ->
            answer(exchange, "application/json", service.state("memory=true".equals(exchange.getRequestURI().getQuery()))));
        server.setExecutor(Executors.newCachedThreadPool());
        server.start();
    }

    private static void answer(HttpExchange exchange, String contentType, String text) throws IOException {
        byte[] body = text.getBytes(StandardCharsets.UTF_8);
        exchange.getResponseHeaders().set("Content-Type", contentType);
        exchange.getResponseHeaders().set("Connection", "close");
        exchange.sendResponseHeaders(200, body.length);
        exchange.getResponseBody().write(body);
        exchange.close();
    }
}
