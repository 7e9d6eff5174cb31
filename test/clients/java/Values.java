import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.rabbitmq.client.LongString;
import java.math.BigDecimal;
import java.math.BigInteger;
import java.util.ArrayList;
import java.util.Base64;
import java.util.Date;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Tables as cases write them, and as the library does. What JSON cannot say is an object with one key: !bytes, !time or
 * !decimal.
 */
class Values {
    static Map<String, Object> table(JsonObject object) {
        Map<String, Object> table = new LinkedHashMap<>();
        object.entrySet().forEach(field -> table.put(field.getKey(), value(field.getValue())));
        return table;
    }

    private static Object value(JsonElement e) {
        if (e.isJsonNull()) {
            return null;
        }
        if (e.isJsonArray()) {
            List<Object> list = new ArrayList<>();
            e.getAsJsonArray().forEach(item -> list.add(value(item)));
            return list;
        }
        if (e.isJsonObject()) {
            return object(e.getAsJsonObject());
        }
        var primitive = e.getAsJsonPrimitive();
        if (primitive.isBoolean()) {
            return primitive.getAsBoolean();
        }
        if (primitive.isString()) {
            return primitive.getAsString();
        }
        return number(primitive.getAsBigDecimal());
    }

    private static Object number(BigDecimal n) {
        if (n.stripTrailingZeros().scale() > 0) {
            return n.doubleValue();
        }
        long whole = n.longValueExact();
        return whole == (int) whole ? (Object) (int) whole : whole;
    }

    private static Object object(JsonObject o) {
        if (o.has("!bytes")) {
            return Base64.getDecoder().decode(o.get("!bytes").getAsString());
        }
        if (o.has("!time")) {
            return new Date(o.get("!time").getAsLong() * 1000);
        }
        if (o.has("!decimal")) {
            var parts = o.getAsJsonArray("!decimal");
            return new BigDecimal(BigInteger.valueOf(parts.get(0).getAsLong()), parts.get(1).getAsInt());
        }
        return table(o);
    }

    static Object neutral(Object value) {
        if (value instanceof Map<?, ?> map) {
            Map<String, Object> m = new LinkedHashMap<>();
            map.forEach((k, v) -> m.put(k.toString(), neutral(v)));
            return m;
        }
        if (value instanceof List<?> list) {
            return list.stream().map(Values::neutral).collect(ArrayList::new, ArrayList::add, ArrayList::addAll);
        }
        if (value instanceof LongString s) {
            return s.toString();
        }
        if (value instanceof byte[] b) {
            return Map.of("!bytes", Base64.getEncoder().encodeToString(b));
        }
        if (value instanceof Date d) {
            return Map.of("!time", d.getTime() / 1000);
        }
        if (value instanceof BigDecimal d) {
            return Map.of("!decimal", List.of(d.unscaledValue(), d.scale()));
        }
        return value;
    }
}
