import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonPrimitive;
import java.util.Map;

/** A step of a case: its operation in "op", and its arguments. */
record Step(JsonObject fields) {
    boolean has(String name) {
        return fields.has(name);
    }

    String text(String name) {
        return text(name, "");
    }

    String text(String name, String otherwise) {
        JsonElement value = fields.get(name);
        return value == null ? otherwise : value.getAsString();
    }

    boolean flag(String name) {
        JsonElement value = fields.get(name);
        return value != null && value.getAsBoolean();
    }

    int number(String name) {
        return fields.get(name).getAsInt();
    }

    /** The arguments of a declaration, binding or subscription. */
    Map<String, Object> arguments() {
        return table("arguments");
    }

    Map<String, Object> table(String name) {
        return has(name) ? Values.table(fields.getAsJsonObject(name)) : null;
    }

    /** With another value where this one stands. */
    Step with(String value, String other) {
        JsonObject changed = fields.deepCopy();
        for (var field : fields.entrySet()) {
            if (field.getValue().equals(new JsonPrimitive(value))) {
                changed.addProperty(field.getKey(), other);
            }
        }
        return new Step(changed);
    }
}
