//! A cluster of Redis: which of its servers has which keys.
//!
//! No command is ever sent on to another server because it has come to the wrong one, nor is a slot
//! looked for while it moves: it fails, as if a server had restarted. Whoever wants to know where
//! everything is looks at the whole map.

use nubo_core::{Error, Result};
use redis::{Cmd, ConnectionAddr, ConnectionInfo, Value};

use super::{
    answers::{array, bytes},
    failure::{unavailable, unexpected},
    partitions::SLOTS,
};

/// Which masters have which slots.
#[derive(Debug, Clone)]
pub(crate) struct Map {
    /// Without gaps, in their order.
    ranges: Vec<Range>,
    masters: Vec<Master>,
}

/// Slots, one behind the other.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Range {
    first: u16,
    last: u16,
    /// Which of the masters has them.
    master: usize,
}

/// A server that has slots.
#[derive(Debug, Clone)]
struct Master {
    id: Vec<u8>,
    /// None where the server that was asked does not know under which name it is known itself.
    host: Option<String>,
    port: u16,
}

impl Map {
    /// What a server is asked.
    pub fn questions() -> [Cmd; 2] {
        ["INFO", "SLOTS"].map(|what| {
            let mut command = redis::cmd("CLUSTER");
            command.arg(what);
            command
        })
    }

    /// What it has answered.
    ///
    /// # Errors
    /// Where the cluster is not whole.
    pub fn read(answers: Vec<Value>) -> Result<Self> {
        let Ok([state, slots]) = <[Value; 2]>::try_from(answers) else {
            return Err(unexpected("what it knows of its cluster"));
        };
        let state = bytes(state)?;
        let mut lines = state.split(|byte| *byte == b'\n');
        if !lines.any(|line| line.trim_ascii() == b"cluster_state:ok") {
            return Err(unavailable(
                "the Redis cluster is not in order: `CLUSTER INFO` says why",
            ));
        }
        let mut map = Self {
            ranges: Vec::new(),
            masters: Vec::new(),
        };
        // Masters get their numbers in the order of their slots.
        let mut ranges = array(slots)?;
        ranges.sort_unstable_by_key(|range| match range {
            Value::Array(parts) => parts.first().and_then(as_number),
            _ => None,
        });
        for range in ranges {
            map.add(range)?;
        }
        let mut next = 0;
        for range in &map.ranges {
            if range.first != next {
                return Err(misses_slots());
            }
            next = range.last + 1;
        }
        match next == SLOTS {
            true => Ok(map),
            false => Err(misses_slots()),
        }
    }

    /// Adds slots with the servers that have them, the master first.
    fn add(&mut self, range: Value) -> Result<()> {
        let slots = || unexpected("slots");
        let mut parts = array(range)?.into_iter();
        let mut slot = || {
            let slot = parts.next().as_ref().and_then(as_number);
            slot.filter(|slot| *slot < SLOTS).ok_or_else(slots)
        };
        let (first, last) = (slot()?, slot()?);
        let mut master = array(parts.next().ok_or_else(slots)?)?.into_iter();
        let host = match master.next() {
            Some(Value::BulkString(host)) => String::from_utf8(host).map_err(Error::internal)?,
            Some(Value::Nil) => String::new(),
            _ => return Err(slots()),
        };
        let port = master.next().as_ref().and_then(as_number);
        let (Some(port), Some(Value::BulkString(id))) = (port, master.next()) else {
            return Err(slots());
        };
        let known = self.masters.iter().position(|known| known.id == id);
        let master = known.unwrap_or(self.masters.len());
        if known.is_none() {
            self.masters.push(Master {
                id,
                host: Some(host).filter(|host| !host.is_empty() && host != "?"),
                port,
            });
        }
        self.ranges.push(Range {
            first,
            last,
            master,
        });
        Ok(())
    }

    /// Whether another says the same of where everything is.
    pub fn agrees(&self, other: &Self) -> bool {
        let ids = |map: &Self| map.masters.iter().map(|own| own.id.clone()).collect();
        let (own, others): (Vec<_>, Vec<_>) = (ids(self), ids(other));
        self.ranges == other.ranges && own == others
    }

    /// The master of a slot, by number.
    pub fn master(&self, slot: u16) -> usize {
        let at = self.ranges.partition_point(|range| range.last < slot);
        // There are no gaps.
        self.ranges.get(at).map_or(0, |range| range.master)
    }

    /// Where the masters are, by their numbers, which are reached as the one was that has told of them.
    ///
    /// # Errors
    /// Where that was not over a network.
    pub fn servers(&self, told: &ConnectionInfo) -> Result<Vec<ConnectionInfo>> {
        let servers = self.masters.iter().map(|master| {
            let host = |own: &String| master.host.clone().unwrap_or_else(|| own.clone());
            let address = match told.addr() {
                ConnectionAddr::Tcp(own, _) => ConnectionAddr::Tcp(host(own), master.port),
                ConnectionAddr::TcpTls {
                    host: own,
                    insecure,
                    tls_params,
                    ..
                } => ConnectionAddr::TcpTls {
                    host: host(own),
                    port: master.port,
                    insecure: *insecure,
                    tls_params: tls_params.clone(),
                },
                _ => {
                    return Err(unavailable(
                        "the servers of a Redis cluster are reached over a network",
                    ));
                }
            };
            Ok(told.clone().set_addr(address))
        });
        servers.collect()
    }

    /// All slots, each range with what somebody has to say of its master.
    pub fn describe(&self, of_masters: &[String]) -> String {
        let ranges = self.ranges.iter().map(|range| {
            let master = of_masters.get(range.master).map_or("", String::as_str);
            format!("{}-{} {master}\n", range.first, range.last)
        });
        ranges.collect()
    }
}

fn as_number(value: &Value) -> Option<u16> {
    match value {
        Value::Int(number) => u16::try_from(*number).ok(),
        _ => None,
    }
}

fn misses_slots() -> Error {
    unavailable("the Redis cluster misses slots: each must have a master")
}

#[cfg(test)]
mod tests {
    use redis::IntoConnectionInfo;

    use super::*;

    fn text(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    fn range(first: i64, last: i64, host: Value, id: &str) -> Value {
        let server = |id: &str| {
            let port = Value::Int(7000);
            Value::Array(vec![host.clone(), port, text(id), Value::Array(Vec::new())])
        };
        let slots = [first, last].map(Value::Int);
        Value::Array([&slots[..], &[server(id), server("a replica")]].concat())
    }

    fn read(state: &str, ranges: Vec<Value>) -> Result<Map> {
        let state = format!("cluster_state:{state}\r\ncluster_slots_assigned:16384\r\n");
        Map::read(vec![text(&state), Value::Array(ranges)])
    }

    #[test]
    fn each_slot_has_its_master() {
        let ranges = vec![
            range(8000, 16_383, text("10.0.0.2"), "b"),
            range(0, 99, text("10.0.0.1"), "a"),
            range(100, 100, Value::Nil, "c"),
            range(101, 7999, text("10.0.0.1"), "a"),
        ];
        let map = read("ok", ranges.clone()).unwrap();
        let told = IntoConnectionInfo::into_connection_info("redis://:p@elsewhere:1/").unwrap();
        let servers = map.servers(&told).unwrap();
        let server = |slot| servers[map.master(slot)].addr().to_string();
        for slot in [0, 99, 101, 7999] {
            assert_eq!(server(slot), "10.0.0.1:7000");
        }
        assert_eq!(server(100), "elsewhere:7000");
        for slot in [8000, 16_383] {
            assert_eq!(server(slot), "10.0.0.2:7000");
        }
        assert!(map.agrees(&read("ok", ranges.clone()).unwrap()));
        let mut moved = ranges;
        moved[0] = range(8000, 16_383, text("10.0.0.2"), "d");
        assert!(!map.agrees(&read("ok", moved).unwrap()));
    }

    #[test]
    fn a_cluster_that_is_not_whole_is_of_no_use() {
        let all = || range(0, 16_383, text("a"), "a");
        assert!(read("ok", vec![all()]).is_ok());
        for (state, ranges) in [
            ("fail", vec![all()]),
            ("ok", vec![]),
            ("ok", vec![range(1, 16_383, text("a"), "a")]),
            ("ok", vec![range(0, 16_382, text("a"), "a")]),
            (
                "ok",
                vec![
                    range(0, 5, text("a"), "a"),
                    range(7, 16_383, text("a"), "a"),
                ],
            ),
            ("ok", vec![range(0, 16_384, text("a"), "a")]),
            ("ok", vec![Value::Nil]),
        ] {
            assert!(read(state, ranges).is_err());
        }
    }
}
