import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;

/** A SHA-256, in JSON as hexadecimal. {@link #ZERO} is the beginning of every chain. */
record Digest(byte[] bytes) {
    static final Digest ZERO = new Digest(new byte[32]);

    static MessageDigest sha256() {
        try {
            return MessageDigest.getInstance("SHA-256");
        } catch (NoSuchAlgorithmException e) {
            throw new AssertionError("every Java has SHA-256", e);
        }
    }

    /** The chain grown by one entry. */
    Digest link(Digest entry) {
        MessageDigest digest = sha256();
        digest.update(bytes);
        return new Digest(digest.digest(entry.bytes));
    }

    /** All of a message that must arrive unaltered. */
    static Digest ofEnvelope(String exchange, String routingKey, String contentType, String messageId, long timestamp, byte[] body) {
        MessageDigest digest = sha256();
        for (String field : new String[] {exchange, routingKey, contentType, messageId}) {
            update(digest, field.getBytes(StandardCharsets.UTF_8));
        }
        update(digest, body);
        return new Digest(digest.digest(number(timestamp)));
    }

    private static void update(MessageDigest digest, byte[] field) {
        digest.update(number(field.length));
        digest.update(field);
    }

    private static byte[] number(long n) {
        return ByteBuffer.allocate(Long.BYTES).putLong(n).array();
    }

    @Override
    public String toString() {
        return HexFormat.of().formatHex(bytes);
    }
}
