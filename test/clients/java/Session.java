import com.google.gson.JsonArray;
import com.rabbitmq.client.ConnectionFactory;
import java.io.IOException;
import java.net.URI;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Connections and channels of a case, by the names that it gives them; one each is "main" from the beginning. */
class Session {
    /** Asks whoever started the program for something, and waits until it is done. */
    interface Asking {
        void ask(String what) throws IOException;
    }

    private static final Map<String, Object> NOTHING = Map.of();

    /**
     * The library's own 10 s are 5 s for each answer, as long as the broker at times lets all new connections wait, also
     * direct ones, when many come at once.
     */
    private static final int HANDSHAKE_MILLIS = 120_000;

    private final URI uri;
    private final Asking asking;
    private final Map<String, Link> links = new LinkedHashMap<>();
    private final Map<String, Line> lines = new LinkedHashMap<>();
    /** The queue declared last, and replyTo of the last message. */
    String queue = "";
    String reply = "";

    Session(String uri, Asking asking) {
        this.uri = URI.create(uri);
        this.asking = asking;
    }

    /** Does steps until one fails that should not. */
    List<Map<String, Object>> carryOut(JsonArray steps) {
        List<Map<String, Object>> results = new ArrayList<>();
        try {
            Step main = new Step(new com.google.gson.JsonObject());
            connect(main);
            open(main);
        } catch (Exception e) {
            return List.of(failure(e));
        }
        for (var fields : steps) {
            Step step = new Step(fields.getAsJsonObject());
            try {
                results.add(perform(step.with("@queue", queue).with("@reply", reply)));
            } catch (Exception e) {
                results.add(failure(e));
                if (!step.flag("fails")) {
                    break;
                }
            }
        }
        return results;
    }

    private static Map<String, Object> failure(Exception e) {
        Map<String, Object> r = new LinkedHashMap<>(Reason.of(e));
        r.put("fails", true);
        return r;
    }

    private Map<String, Object> perform(Step step) throws Exception {
        Link link = links.get(step.text("connection", "main"));
        switch (step.text("op")) {
            case "connection.open":
                return connect(step);
            case "channel.open":
                open(step);
                return NOTHING;
            case "connection.close":
                link.connection.close();
                return NOTHING;
            case "await disconnected":
                return Reason.of(link.closed.take());
            case "await blocked":
                return Map.of("reason", link.blocked.take());
            case "await unblocked":
                link.unblocked.take();
                return NOTHING;
            case "ask alarm", "ask relief":
                asking.ask(step.text("op").substring("ask ".length()));
                return NOTHING;
            case "await time":
                Thread.sleep(1000L * step.number("seconds"));
                return NOTHING;
            default:
                Map<String, Object> result = lines.get(step.text("channel", "main")).perform(step);
                return result == null ? NOTHING : result;
        }
    }

    private Map<String, Object> connect(Step step) throws Exception {
        String[] credentials = uri.getUserInfo().split(":");
        ConnectionFactory factory = new ConnectionFactory();
        factory.setHost(uri.getHost());
        factory.setPort(uri.getPort());
        factory.setUsername(step.text("user", credentials[0]));
        factory.setPassword(step.text("password", credentials[1]));
        factory.setVirtualHost(step.text("vhost", "/"));
        factory.setHandshakeTimeout(HANDSHAKE_MILLIS);
        if (step.has("heartbeat")) {
            factory.setRequestedHeartbeat(step.number("heartbeat"));
        }
        Link link = new Link(factory.newConnection());
        links.put(step.text("connection", "main"), link);
        return link.describe();
    }

    private void open(Step step) throws IOException {
        Link link = links.get(step.text("connection", "main"));
        Line line = new Line(this, link.connection.createChannel());
        lines.put(step.text("channel", "main"), line);
        if (step.flag("confirm")) {
            line.selectConfirms();
        }
    }

    /** Ends whatever the case has left open. */
    void end() {
        for (Link link : links.values()) {
            link.connection.abort();
        }
    }
}
