import com.google.gson.JsonObject;
import com.google.gson.JsonParseException;
import com.google.gson.JsonParser;
import com.google.gson.JsonPrimitive;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/** The deterministic state machine. Its fields are the state in JSON. Not safe for concurrent use. */
final class Ledger {
    private static final int MAX_DETAILS = 50;

    /** A message as it was delivered. */
    record Arrival(Message message, Digest digest, boolean redelivered, boolean resent) {}

    /** What producers send. */
    record Message(String producer, long sequence) {
        static Message parse(byte[] body) {
            String text = new String(body, StandardCharsets.UTF_8);
            if (JsonParser.parseString(text) instanceof JsonObject object
                && object.get("producer") instanceof JsonPrimitive producer && producer.isString() && !producer.getAsString().isEmpty()
                && object.get("sequence") instanceof JsonPrimitive sequence && sequence.isNumber() && sequence.getAsLong() > 0) {
                return new Message(producer.getAsString(), sequence.getAsLong());
            }
            throw new JsonParseException("no producer or sequence in " + text);
        }

        String id() {
            return producer + "/" + sequence;
        }
    }

    /** What is published for each message applied. */
    record Output(String producer, long sequence, long count, Digest chain, String instance) {}

    record Range(long from, long to) {}

    /** Of one producer's messages through the ledger. */
    static final class Progress {
        long count;
        long last;
        Digest chain = Digest.ZERO;
        /** Sequences below last that were never applied. */
        final List<Range> missing = new ArrayList<>();

        /** Takes a sequence out of what is missing; false when it is not. */
        boolean fill(long sequence) {
            for (int i = 0; i < missing.size(); i++) {
                Range r = missing.get(i);
                if (r.from <= sequence && sequence <= r.to) {
                    missing.remove(i);
                    if (sequence < r.to) {
                        missing.add(i, new Range(sequence + 1, r.to));
                    }
                    if (r.from < sequence) {
                        missing.add(i, new Range(r.from, sequence - 1));
                    }
                    return true;
                }
            }
            return false;
        }
    }

    static final class Violations {
        long duplicates;
        long gaps;
        long reorders;
        long malformed;
        final List<String> details = new ArrayList<>();
    }

    final String instance;
    final String started;
    long count;
    Digest chain = Digest.ZERO;
    final Map<String, Progress> producers = new TreeMap<>();
    long redeliveredSkipped;
    long resentSkipped;
    final Violations violations = new Violations();
    /** Only in the states that were asked for with their memory. */
    Ballast.Memory memory;

    Ledger(String instance, String started) {
        this.instance = instance;
        this.started = started;
    }

    /** Applies a message and returns its output, or null when it is an excused duplicate. */
    Output apply(Arrival a) {
        Message m = a.message;
        Progress p = producers.computeIfAbsent(m.producer, name -> new Progress());
        if (m.sequence > p.last + 1) {
            violations.gaps++;
            detail("gap: " + m.id() + " came after " + m.producer + "/" + p.last);
            p.missing.add(new Range(p.last + 1, m.sequence - 1));
        } else if (m.sequence <= p.last && p.fill(m.sequence)) {
            violations.reorders++;
            detail("reorder: " + m.id() + " came after " + m.producer + "/" + p.last);
        } else if (m.sequence <= p.last && a.redelivered) {
            redeliveredSkipped++;
            return null;
        } else if (m.sequence <= p.last && a.resent) {
            resentSkipped++;
            return null;
        } else if (m.sequence <= p.last) {
            violations.duplicates++;
            detail("duplicate: " + m.id() + " came again after " + m.producer + "/" + p.last + ", not flagged as redelivered");
        }
        p.count++;
        p.last = Math.max(p.last, m.sequence);
        p.chain = p.chain.link(a.digest);
        count++;
        chain = chain.link(a.digest);
        return new Output(m.producer, m.sequence, count, chain, instance);
    }

    void malformed(String reason) {
        violations.malformed++;
        detail("malformed: " + reason);
    }

    private void detail(String text) {
        if (violations.details.size() < MAX_DETAILS) {
            violations.details.add(text);
        }
    }
}
