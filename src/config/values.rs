//! Values that are written as text and mean more: times, sizes, addresses.
//!
//! Each has a `format` in its JSON Schema. The checker looks the format up in [`format`] and so
//! reports a wrong value in the value's own words, with its place; editors go by the pattern and
//! the examples beside it.

use std::{
    borrow::Cow,
    fmt,
    net::{IpAddr, SocketAddr},
    str::FromStr,
    time::Duration,
};

use ipnet::IpNet;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// What is wrong with a text of a format, if anything is.
pub type Check = fn(&str) -> Result<(), String>;

/// The check of a format of ours.
pub fn format(name: &str) -> Option<Check> {
    match name {
        "time-span" => Some(|text| text.parse::<TimeSpan>().map(drop)),
        "byte-size" => Some(|text| text.parse::<ByteSize>().map(drop)),
        "listen-address" => Some(|text| text.parse::<ListenAddress>().map(drop)),
        "network" => Some(|text| text.parse::<Network>().map(drop)),
        "base-path" => Some(|text| text.parse::<BasePath>().map(drop)),
        _ => None,
    }
}

/// A length of time: a whole number and a unit, `500ms`, `5s`, `15m`, `12h`, `30d` or `2w`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TimeSpan(pub Duration);

/// Units of time and how many milliseconds they have, largest first.
const TIME_UNITS: [(&str, u64); 6] = [
    ("w", 7 * 24 * 3_600_000),
    ("d", 24 * 3_600_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1000),
    ("ms", 1),
];

impl FromStr for TimeSpan {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "`{text}` is not a length of time; write a whole number and a unit, for example \
                 `500ms`, `5s`, `15m`, `12h` or `30d`"
            )
        };
        let (count, unit) = number_and_unit(text).ok_or_else(wrong)?;
        let (_, millis) = TIME_UNITS
            .iter()
            .find(|(name, _)| *name == unit)
            .ok_or_else(wrong)?;
        let total = count
            .checked_mul(*millis)
            .ok_or_else(|| format!("`{text}` is too long a time"))?;
        Ok(Self(Duration::from_millis(total)))
    }
}

impl fmt::Display for TimeSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        let (unit, size) = TIME_UNITS
            .into_iter()
            .find(|(_, size)| millis > 0 && millis.is_multiple_of(*size))
            .unwrap_or(("s", 1000));
        write!(f, "{}{unit}", millis / size)
    }
}

/// An amount of memory: a whole number of bytes, or with a unit, `64KiB`, `1MiB`, `2GiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub u64);

/// Units of memory and how many bytes they have, largest first. `MB` and the like are left out:
/// half of the people who write them mean `MiB`.
const SIZE_UNITS: [(&str, u64); 4] = [
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("B", 1),
];

impl FromStr for ByteSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "`{text}` is not a size; write a whole number and a unit, for example `512B`, \
                 `64KiB`, `1MiB` or `2GiB`"
            )
        };
        let (count, unit) = number_and_unit(text).ok_or_else(wrong)?;
        let (_, bytes) = SIZE_UNITS
            .iter()
            .find(|(name, _)| *name == unit)
            .ok_or_else(wrong)?;
        count
            .checked_mul(*bytes)
            .map(Self)
            .ok_or_else(|| format!("`{text}` is too large a size"))
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, size) = SIZE_UNITS
            .into_iter()
            .find(|(_, size)| self.0 > 0 && self.0.is_multiple_of(*size))
            .unwrap_or(("B", 1));
        write!(f, "{}{unit}", self.0 / size)
    }
}

fn number_and_unit(text: &str) -> Option<(u64, &str)> {
    let digits = text.find(|letter: char| !letter.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    Some((number.parse().ok()?, unit))
}

/// An address to listen on: an IP address (`0.0.0.0` and `[::]` for all) or `localhost`, a colon
/// and a port. Port 0 takes any that is free.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListenAddress(pub SocketAddr);

impl FromStr for ListenAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |what: &str| {
            format!(
                "`{text}` is not an address to listen on: {what}; write for example \
                 `127.0.0.1:8080`, `0.0.0.0:80` or `[::]:8080`"
            )
        };
        let (host, port) = text
            .rsplit_once(':')
            .ok_or_else(|| wrong("it has no port"))?;
        if port.parse::<u16>().is_err() {
            return Err(wrong("the port must be a number from 0 to 65535"));
        }
        let numeric = if host == "localhost" {
            format!("127.0.0.1:{port}")
        } else {
            text.to_owned()
        };
        numeric
            .parse()
            .map(Self)
            .map_err(|_| wrong("before the port must stand an IP address"))
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A prefix of all routes: empty, or segments that each begin with a slash, such as `/api/v1`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BasePath(pub String);

impl FromStr for BasePath {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_.~".contains(letter);
        let good = text.is_empty()
            || text.strip_prefix('/').is_some_and(|path| {
                path.split('/')
                    .all(|segment| !segment.is_empty() && segment.chars().all(plain))
            });
        good.then(|| Self(text.to_owned())).ok_or_else(|| {
            format!(
                "`{text}` is not a path; write nothing, or a path that begins with a slash and \
                 does not end with one, for example `/api`"
            )
        })
    }
}

impl fmt::Display for BasePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Addresses that belong together: one, or a network in CIDR notation such as `10.0.0.0/8`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network(pub IpNet);

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let address = text.parse::<IpAddr>().map(IpNet::from);
        let network = address.or_else(|_| text.parse::<IpNet>());
        network.map(Self).map_err(|_| {
            format!(
                "`{text}` is no address or network; write for example `10.0.0.7`, `10.0.0.0/8` \
                 or `2001:db8::/32`"
            )
        })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Text in, text out, and a schema that says how it is written.
macro_rules! written_as_text {
    ($name:ident, $format:literal, $pattern:literal, $description:literal, $examples:expr) => {
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(D::Error::custom)
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({
                    "description": $description,
                    "type": "string",
                    "format": $format,
                    "pattern": $pattern,
                    "examples": $examples,
                })
            }
        }
    };
}

written_as_text!(
    TimeSpan,
    "time-span",
    "^[0-9]+(ms|s|m|h|d|w)$",
    "A length of time: a whole number and a unit (ms, s, m, h, d, w).",
    ["500ms", "5s", "15m", "12h", "30d"]
);
written_as_text!(
    ByteSize,
    "byte-size",
    "^[0-9]+(B|KiB|MiB|GiB)$",
    "A size: a whole number and a unit (B, KiB, MiB, GiB).",
    ["512B", "64KiB", "1MiB"]
);
written_as_text!(
    ListenAddress,
    "listen-address",
    "^.+:[0-9]{1,5}$",
    "An address to listen on: an IP address or `localhost`, a colon and a port. Port 0 takes any that is free.",
    ["127.0.0.1:8080", "0.0.0.0:80", "[::]:8080"]
);
written_as_text!(
    BasePath,
    "base-path",
    "^(/[A-Za-z0-9_.~-]+)*$",
    "A path that begins with a slash and does not end with one, or nothing.",
    ["", "/api", "/api/v1"]
);

written_as_text!(
    Network,
    "network",
    "^[0-9A-Fa-f.:]+(/[0-9]{1,3})?$",
    "An IP address, or a network in CIDR notation.",
    ["10.0.0.7", "10.0.0.0/8", "2001:db8::/32"]
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_read_and_print_in_the_largest_unit_that_fits() {
        for (text, millis, printed) in [
            ("500ms", 500, "500ms"),
            ("90s", 90_000, "90s"),
            ("120s", 120_000, "2m"),
            ("30d", 30 * 86_400_000, "30d"),
            ("0s", 0, "0s"),
        ] {
            let span: TimeSpan = text.parse().unwrap();
            assert_eq!(span.0, Duration::from_millis(millis));
            assert_eq!(span.to_string(), printed);
        }
        for text in [
            "",
            "5",
            "s",
            "5 s",
            "-5s",
            "5x",
            "1.5s",
            "99999999999999999w",
            "5sek",
        ] {
            assert!(text.parse::<TimeSpan>().is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_read_and_print() {
        assert_eq!("1MiB".parse(), Ok(ByteSize(1 << 20)));
        assert_eq!(ByteSize(1536).to_string(), "1536B");
        assert_eq!(ByteSize(64 << 10).to_string(), "64KiB");
        for text in ["1MB", "1 MiB", "MiB", "99999999999GiB", "1"] {
            assert!(text.parse::<ByteSize>().is_err(), "{text}");
        }
    }

    #[test]
    fn addresses_say_what_is_wrong_with_them() {
        assert_eq!(
            "localhost:80".parse::<ListenAddress>().unwrap().to_string(),
            "127.0.0.1:80"
        );
        assert!("[::]:8080".parse::<ListenAddress>().is_ok());
        for (text, complaint) in [
            ("8080", "no port"),
            ("127.0.0.1:80800", "0 to 65535"),
            ("127.0.0.1:http", "0 to 65535"),
            ("256.0.0.1:80", "IP address"),
            (":80", "IP address"),
            ("::1:80x", "0 to 65535"),
        ] {
            let error = text.parse::<ListenAddress>().expect_err(text);
            assert!(error.contains(complaint), "{error}");
        }
    }

    #[test]
    fn a_network_may_be_one_address() {
        let network: Network = "10.0.0.7".parse().unwrap();
        assert_eq!(network.to_string(), "10.0.0.7/32");
        assert!("10.0.0.0/8".parse::<Network>().is_ok());
        for text in ["", "10.0.0.0/33", "localhost", "10.0.0/8"] {
            assert!(text.parse::<Network>().is_err(), "{text}");
        }
    }

    #[test]
    fn base_paths_have_no_slash_at_their_end() {
        for text in ["", "/api", "/api/v1.2"] {
            assert!(text.parse::<BasePath>().is_ok(), "{text}");
        }
        for text in ["api", "/", "/api/", "//", "/a b", "/:id", "/*"] {
            assert!(text.parse::<BasePath>().is_err(), "{text}");
        }
    }
}
