//! How often signing in may be tried, by account and by address.
//!
//! Each key has a bucket of tokens that fills up again with time, kept as one number by the generic
//! cell rate algorithm (ITU-T I.371, as "virtual scheduling"): the *theoretical arrival time*, up to
//! which the tokens that were taken reach. A key whose time has come has a full bucket and need not
//! be remembered.

use std::{
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use indexmap::IndexMap;
use nubo_core::{Error, Result, clock::Clock, id::Id, module::SetupError};
use sha2::{Digest, Sha256};

use crate::settings::{RateSettings, ThrottleSettings, period};

/// What is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Attempt {
    /// A password of an account.
    AccountPassword,
    /// Any password, from an address.
    Password,
    SignUp,
    Refresh,
}

/// Who tries it, or on whom, in 16 bytes whatever people send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Subject([u8; 16]);

impl Subject {
    /// An address. Whoever has one of IPv6 has the whole /64.
    pub fn address(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
            IpAddr::V6(address) => {
                let mut bytes = address.octets();
                bytes[8..].fill(0);
                bytes
            }
        })
    }

    /// An account that somebody is signed in to. Nobody else can use it up.
    pub fn of_account(id: Id) -> Self {
        // No name begins like this, whatever people type.
        Self::account(&format!("\0{id}"))
    }

    /// What an account is called, whether or not there is one.
    pub fn account(name: &str) -> Self {
        let hash: [u8; 32] = Sha256::digest(name).into();
        let (start, _) = hash.split_at(16);
        let mut bytes = [0; 16];
        bytes.copy_from_slice(start);
        Self(bytes)
    }
}

/// A rate in microseconds.
#[derive(Debug, Clone, Copy)]
struct Rate {
    /// Until there is one more token.
    interval: i64,
    /// How far the tokens that were taken may reach into the future before the next one is taken.
    tolerance: i64,
}

impl Rate {
    fn of(setting: &str, settings: &RateSettings) -> Result<Self, SetupError> {
        let place = format!("throttle.{setting}.per");
        let interval = period(&place, &settings.per)?.saturating_mul(1000);
        Ok(Self {
            interval,
            tolerance: interval.saturating_mul(i64::from(settings.burst.max(1)) - 1),
        })
    }
}

/// The buckets of everybody who was here lately.
pub(crate) struct Throttle {
    clock: Arc<dyn Clock>,
    enabled: bool,
    account_password: Rate,
    password: Rate,
    sign_up: Rate,
    refresh: Rate,
    capacity: usize,
    buckets: Mutex<Buckets>,
}

#[derive(Default)]
struct Buckets {
    /// Theoretical arrival times in microseconds.
    times: IndexMap<(Attempt, Subject), i64>,
    /// When full buckets were last thrown out.
    swept: i64,
    /// Where the next one is thrown out when all are in use.
    hand: usize,
}

/// Microseconds between two sweeps at least, so that a crowd does not make each attempt one.
const SWEEP_INTERVAL: i64 = 1_000_000;

impl Throttle {
    /// Full buckets with these settings.
    pub fn new(settings: &ThrottleSettings, clock: Arc<dyn Clock>) -> Result<Self, SetupError> {
        Ok(Self {
            clock,
            enabled: settings.enabled,
            account_password: Rate::of("login_per_account", &settings.login_per_account)?,
            password: Rate::of("login_per_address", &settings.login_per_address)?,
            sign_up: Rate::of("signup_per_address", &settings.signup_per_address)?,
            refresh: Rate::of("refresh_per_address", &settings.refresh_per_address)?,
            capacity: settings.remembered.max(1),
            buckets: Mutex::default(),
        })
    }

    const fn rate(&self, attempt: Attempt) -> Rate {
        match attempt {
            Attempt::AccountPassword => self.account_password,
            Attempt::Password => self.password,
            Attempt::SignUp => self.sign_up,
            Attempt::Refresh => self.refresh,
        }
    }

    /// Takes a token: 429 where there is none.
    pub fn take(&self, attempt: Attempt, subject: Subject) -> Result<()> {
        if !self.enabled {
            return Ok(());
        }
        let now = self.clock.micros();
        let rate = self.rate(attempt);
        let mut buckets = self.lock();
        let known = buckets.times.get(&(attempt, subject)).copied();
        let reach = rate.reach(known, now);
        if reach > rate.tolerance {
            // Where the clock was set back, time counts from here.
            buckets
                .times
                .insert((attempt, subject), now.saturating_add(reach));
            return Err(Error::TooManyRequests {
                retry_after: seconds(reach - rate.tolerance),
            });
        }
        if known.is_none() {
            buckets.make_room(self.capacity, now);
        }
        let taken = now.saturating_add(reach).saturating_add(rate.interval);
        buckets.times.insert((attempt, subject), taken);
        Ok(())
    }

    /// Gives a token back: the attempt was none that should count.
    pub fn give_back(&self, attempt: Attempt, subject: Subject) {
        let interval = self.rate(attempt).interval;
        if let Some(time) = self.lock().times.get_mut(&(attempt, subject)) {
            *time = time.saturating_sub(interval);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Buckets> {
        self.buckets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Rate {
    /// How far the tokens that were taken reach into the future. Never farther than all of a
    /// bucket, so that a clock that was set back keeps nobody out for longer than a full one does.
    fn reach(self, time: Option<i64>, now: i64) -> i64 {
        let longest = self.tolerance.saturating_add(self.interval);
        time.map_or(0, |time| time.saturating_sub(now).clamp(0, longest))
    }
}

impl Buckets {
    /// Throws out full buckets, and any where none is full: somebody then may try more often, but
    /// nobody can make the server remember without end.
    fn make_room(&mut self, capacity: usize, now: i64) {
        if self.times.len() < capacity {
            return;
        }
        if (now - self.swept).abs() >= SWEEP_INTERVAL {
            self.swept = now;
            self.times.retain(|_, time| *time > now);
        }
        while self.times.len() >= capacity {
            self.hand = (self.hand + 1) % self.times.len();
            self.times.swap_remove_index(self.hand);
        }
    }
}

/// Whole seconds, at least one.
fn seconds(micros: i64) -> u32 {
    let seconds = micros.saturating_add(999_999) / 1_000_000;
    u32::try_from(seconds.max(1)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::Hands;

    fn throttle(burst: u32, per: &str, remembered: usize) -> (Throttle, Arc<Hands>) {
        let clock = Arc::new(Hands::default());
        let settings = ThrottleSettings {
            login_per_account: RateSettings {
                burst,
                per: per.into(),
            },
            remembered,
            ..ThrottleSettings::default()
        };
        (Throttle::new(&settings, clock.clone()).unwrap(), clock)
    }

    fn try_as(throttle: &Throttle, name: &str) -> Result<(), u32> {
        let taken = throttle.take(Attempt::AccountPassword, Subject::account(name));
        taken.map_err(|error| match error {
            Error::TooManyRequests { retry_after } => retry_after,
            other => panic!("{other}"),
        })
    }

    #[test]
    fn so_many_at_once_and_then_one_after_each_period() {
        let (throttle, clock) = throttle(3, "1m", 100);
        for _ in 0..3 {
            assert_eq!(try_as(&throttle, "ada"), Ok(()));
        }
        assert_eq!(try_as(&throttle, "ada"), Err(60));
        assert_eq!(try_as(&throttle, "bob"), Ok(()), "others are not concerned");
        clock.pass(59_001);
        assert_eq!(try_as(&throttle, "ada"), Err(1));
        clock.pass(999);
        assert_eq!(try_as(&throttle, "ada"), Ok(()));
        assert_eq!(try_as(&throttle, "ada"), Err(60));
        clock.pass(3_600_000);
        for _ in 0..3 {
            assert_eq!(try_as(&throttle, "ada"), Ok(()));
        }
        assert!(
            try_as(&throttle, "ada").is_err(),
            "a bucket holds no more than the burst"
        );
    }

    #[test]
    fn what_is_given_back_can_be_taken_again() {
        let (throttle, _) = throttle(1, "1m", 100);
        for _ in 0..5 {
            assert_eq!(try_as(&throttle, "ada"), Ok(()));
            throttle.give_back(Attempt::AccountPassword, Subject::account("ada"));
        }
        assert_eq!(try_as(&throttle, "ada"), Ok(()));
        assert_eq!(try_as(&throttle, "ada"), Err(60));
    }

    #[test]
    fn a_clock_that_is_set_back_locks_nobody_out() {
        let (throttle, clock) = throttle(1, "1m", 100);
        assert_eq!(try_as(&throttle, "ada"), Ok(()));
        clock.pass(-86_400_000);
        assert_eq!(try_as(&throttle, "ada"), Err(60));
        clock.pass(60_000);
        assert_eq!(try_as(&throttle, "ada"), Ok(()));
    }

    #[test]
    fn it_remembers_no_more_than_so_many() {
        let (throttle, clock) = throttle(2, "1m", 10);
        for number in 0..100 {
            clock.pass(2000);
            assert_eq!(try_as(&throttle, &number.to_string()), Ok(()));
            assert!(throttle.lock().times.len() <= 10);
        }
        clock.pass(120_000);
        assert_eq!(try_as(&throttle, "last"), Ok(()));
        assert_eq!(
            throttle.lock().times.len(),
            1,
            "full buckets are thrown out first"
        );
    }

    #[test]
    fn addresses_of_one_network_count_as_one() {
        let subject = |text: &str| Subject::address(text.parse().unwrap());
        assert_eq!(subject("2001:db8::1"), subject("2001:db8::ffff:2"));
        assert_ne!(subject("2001:db8::1"), subject("2001:db8:0:1::1"));
        assert_ne!(subject("10.0.0.1"), subject("10.0.0.2"));
        assert_eq!(subject("10.0.0.1"), subject("::ffff:10.0.0.1"));
    }

    #[test]
    fn switched_off_it_lets_everybody_through() {
        let settings = ThrottleSettings {
            enabled: false,
            ..ThrottleSettings::default()
        };
        let throttle = Throttle::new(&settings, Arc::new(Hands::default())).unwrap();
        for _ in 0..1000 {
            throttle
                .take(Attempt::SignUp, Subject::account("x"))
                .unwrap();
        }
    }
}
