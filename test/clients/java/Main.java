import com.google.gson.Gson;
import com.google.gson.GsonBuilder;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.Map;

/** Carries out cases with RabbitMQ's client for Java; see ../README.md. */
public class Main {
    private static final Gson GSON = new GsonBuilder().serializeNulls().disableHtmlEscaping().create();
    private static final BufferedReader IN = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    private static final PrintStream OUT = new PrintStream(System.out, true, StandardCharsets.UTF_8);

    public static void main(String[] args) throws IOException {
        JsonObject job = JsonParser.parseString(IN.readLine()).getAsJsonObject();
        int number = 0;
        for (var steps : job.getAsJsonArray("cases")) {
            Session session = new Session(job.get("uri").getAsString(), Main::ask);
            var results = session.carryOut(steps.getAsJsonArray());
            session.end();
            OUT.println(GSON.toJson(Map.of("case", number++, "results", results)));
        }
        System.exit(0);
    }

    private static void ask(String what) throws IOException {
        OUT.println(GSON.toJson(Map.of("ask", what)));
        IN.readLine();
    }
}
