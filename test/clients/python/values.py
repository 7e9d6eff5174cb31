"""Properties and tables as cases write them, and as pika does.

What JSON cannot say is an object with one key: !bytes, !time or !decimal.
"""

import base64
import calendar
import datetime
import decimal

PROPERTIES = {
    "contentType": "content_type", "contentEncoding": "content_encoding", "headers": "headers",
    "deliveryMode": "delivery_mode", "priority": "priority", "correlationId": "correlation_id", "replyTo": "reply_to",
    "expiration": "expiration", "messageId": "message_id", "timestamp": "timestamp", "type": "type",
    "userId": "user_id", "appId": "app_id",
}


def written(properties):
    """Properties of a case for pika."""
    return {PROPERTIES[k]: table(v) if k == "headers" else v for k, v in properties.items()}


def described(properties):
    """Properties of pika for a result."""
    found = {k: neutral(getattr(properties, name)) for k, name in PROPERTIES.items()}
    return {k: v for k, v in found.items() if v not in (None, {}, "")}


def table(value):
    if isinstance(value, list):
        return [table(v) for v in value]
    if not isinstance(value, dict):
        return value
    if "!bytes" in value:
        return base64.b64decode(value["!bytes"])
    if "!time" in value:
        return datetime.datetime.fromtimestamp(value["!time"], datetime.timezone.utc)
    if "!decimal" in value:
        digits, places = value["!decimal"]
        return decimal.Decimal(digits).scaleb(-places)
    return {k: table(v) for k, v in value.items()}


def neutral(value):
    if isinstance(value, dict):
        return {k: neutral(v) for k, v in value.items()}
    if isinstance(value, list):
        return [neutral(v) for v in value]
    if isinstance(value, bytes):
        return {"!bytes": base64.b64encode(value).decode()}
    if isinstance(value, datetime.datetime):
        return {"!time": calendar.timegm(value.utctimetuple())}
    if isinstance(value, decimal.Decimal):
        sign, digits, exponent = value.as_tuple()
        return {"!decimal": [int("".join(map(str, digits))) * (-1 if sign else 1), -exponent]}
    return value
