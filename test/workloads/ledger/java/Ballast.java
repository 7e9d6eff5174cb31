import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.List;
import javax.crypto.Cipher;
import javax.crypto.spec.IvParameterSpec;
import javax.crypto.spec.SecretKeySpec;

/** Memory on the heap that the ledger only holds. */
final class Ballast {
    private static final int MEBIBYTE = 1 << 20;

    /** Far less than a region of the G1 collector, which gives each object of half a region or more regions of its own. */
    private static final int PAGE = 128 << 10;

    record Memory(int mebibytes, Digest checksum) {}

    private final List<byte[]> pages = new ArrayList<>();

    Ballast(int mebibytes) throws GeneralSecurityException {
        byte[] key = Digest.sha256().digest("ledger ballast".getBytes(StandardCharsets.UTF_8));
        Cipher keystream = Cipher.getInstance("AES/CTR/NoPadding");
        keystream.init(Cipher.ENCRYPT_MODE, new SecretKeySpec(key, "AES"), new IvParameterSpec(new byte[16]));
        byte[] zeros = new byte[PAGE];
        for (int i = 0; i < mebibytes * (MEBIBYTE / PAGE); i++) {
            pages.add(keystream.update(zeros));
        }
    }

    Memory memory() {
        MessageDigest digest = Digest.sha256();
        pages.forEach(digest::update);
        return new Memory(pages.size() / (MEBIBYTE / PAGE), new Digest(digest.digest()));
    }
}
