import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.function.Predicate;

/** Keeps what comes until it is taken. */
class Mailbox<T> {
    /** How long is waited for what must come. */
    static final long PATIENCE = TimeUnit.SECONDS.toNanos(20);

    private final List<T> items = new ArrayList<>();

    synchronized void put(T item) {
        items.add(item);
        notifyAll();
    }

    T take() throws InterruptedException, TimeoutException {
        return take(item -> true);
    }

    /** Takes the first that matches, once it has come. */
    synchronized T take(Predicate<T> matches) throws InterruptedException, TimeoutException {
        long end = System.nanoTime() + PATIENCE;
        while (true) {
            for (int i = 0; i < items.size(); i++) {
                if (matches.test(items.get(i))) {
                    return items.remove(i);
                }
            }
            long left = TimeUnit.NANOSECONDS.toMillis(end - System.nanoTime());
            if (left <= 0) {
                throw new TimeoutException("waited in vain");
            }
            wait(left);
        }
    }
}
