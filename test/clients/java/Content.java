import com.google.gson.JsonObject;
import com.rabbitmq.client.AMQP;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Date;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.Map;

/** Bodies and properties of messages. */
class Content {
    /** The body is given, or of a size, byte i being i modulo 251. */
    static byte[] body(Step s) {
        if (!s.has("size")) {
            return s.text("body").getBytes(StandardCharsets.UTF_8);
        }
        byte[] body = new byte[s.number("size")];
        for (int i = 0; i < body.length; i++) {
            body[i] = (byte) (i % 251);
        }
        return body;
    }

    /** A message's content, whole when it is short, and its properties. */
    static Map<String, Object> shown(AMQP.BasicProperties properties, byte[] body) {
        Map<String, Object> r = new LinkedHashMap<>();
        r.put("size", body.length);
        r.put("properties", described(properties));
        if (body.length <= 64) {
            r.put("body", new String(body, StandardCharsets.UTF_8));
        } else {
            r.put("sha256", sha256(body));
        }
        return r;
    }

    private static String sha256(byte[] body) {
        try {
            return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(body));
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException(e);
        }
    }

    static AMQP.BasicProperties properties(Step s) {
        Step p = new Step(s.has("properties") ? s.fields().getAsJsonObject("properties") : new JsonObject());
        return new AMQP.BasicProperties.Builder()
                .contentType(p.text("contentType", null)).contentEncoding(p.text("contentEncoding", null))
                .headers(p.table("headers"))
                .deliveryMode(p.has("deliveryMode") ? p.number("deliveryMode") : null)
                .priority(p.has("priority") ? p.number("priority") : null)
                .correlationId(p.text("correlationId", null)).replyTo(p.text("replyTo", null))
                .expiration(p.text("expiration", null)).messageId(p.text("messageId", null))
                .timestamp(p.has("timestamp") ? new Date(p.number("timestamp") * 1000L) : null)
                .type(p.text("type", null)).userId(p.text("userId", null)).appId(p.text("appId", null)).build();
    }

    private static Map<String, Object> described(AMQP.BasicProperties p) {
        Map<String, Object> all = new LinkedHashMap<>();
        all.put("contentType", p.getContentType());
        all.put("contentEncoding", p.getContentEncoding());
        all.put("headers", p.getHeaders() == null || p.getHeaders().isEmpty() ? null : Values.neutral(p.getHeaders()));
        all.put("deliveryMode", p.getDeliveryMode());
        all.put("priority", p.getPriority());
        all.put("correlationId", p.getCorrelationId());
        all.put("replyTo", p.getReplyTo());
        all.put("expiration", p.getExpiration());
        all.put("messageId", p.getMessageId());
        all.put("timestamp", p.getTimestamp() == null ? null : p.getTimestamp().getTime() / 1000);
        all.put("type", p.getType());
        all.put("userId", p.getUserId());
        all.put("appId", p.getAppId());
        all.values().removeIf(v -> v == null);
        return all;
    }
}
