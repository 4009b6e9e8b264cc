//! Addresses and bytes: `ip`, `bytes`.

use base64::Engine;
use serde_json::Value as Json;

use super::{Reading, Refusal};
use crate::value::Value;

/// An IPv4 or IPv6 address without a prefix length.
pub(super) fn read_ip(json: &Json) -> Reading {
    json.as_str()
        .ok_or_else(|| Refusal::kind("an IP address as text", json))?
        .parse()
        .map(Value::Ip)
        .map_err(|_| Refusal::new("invalid_ip", "must be an IPv4 or IPv6 address"))
}

/// Standard base64 with padding (RFC 4648 §4).
pub(super) fn read_bytes(json: &Json) -> Reading {
    let text = json
        .as_str()
        .ok_or_else(|| Refusal::kind("base64 text", json))?;
    base64::engine::general_purpose::STANDARD
        .decode(text)
        .map(Value::Bytes)
        .map_err(|_| Refusal::new("invalid_base64", "must be base64 with padding"))
}
