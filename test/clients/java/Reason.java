import com.rabbitmq.client.AMQP;
import com.rabbitmq.client.AuthenticationFailureException;
import com.rabbitmq.client.ShutdownSignalException;
import java.util.Map;

/** Why something has ended, as the broker said. */
class Reason {
    static Map<String, Object> of(Throwable e) {
        if (e instanceof AuthenticationFailureException) {
            return Map.of("code", AMQP.ACCESS_REFUSED, "text", String.valueOf(e.getMessage()));
        }
        for (Throwable cause = e; cause != null; cause = cause.getCause()) {
            if (cause instanceof ShutdownSignalException signal) {
                return ofSignal(signal);
            }
        }
        return Map.of("text", e.toString());
    }

    private static Map<String, Object> ofSignal(ShutdownSignalException signal) {
        if (signal.getReason() instanceof AMQP.Channel.Close close) {
            return Map.of("code", close.getReplyCode(), "text", close.getReplyText());
        }
        if (signal.getReason() instanceof AMQP.Connection.Close close) {
            return Map.of("code", close.getReplyCode(), "text", close.getReplyText());
        }
        return Map.of("text", signal.toString());
    }
}
