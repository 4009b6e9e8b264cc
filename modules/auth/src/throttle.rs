//! How often signing in may be tried, by account and by address: which attempts take tokens out of
//! which [buckets](nubo_core::throttle).

use std::{net::IpAddr, sync::Arc};

use nubo_core::{
    Error, Result,
    id::Id,
    module::SetupError,
    throttle::{Bucket, Rate, TokenBuckets},
};
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

impl Attempt {
    /// What its buckets are called, where others have some too.
    const fn name(self) -> &'static str {
        match self {
            Self::AccountPassword => "login-account",
            Self::Password => "login-address",
            Self::SignUp => "signup-address",
            Self::Refresh => "refresh-address",
        }
    }
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

/// Takes tokens for attempts.
pub(crate) struct Throttle {
    buckets: Arc<dyn TokenBuckets>,
    enabled: bool,
    account_password: Rate,
    password: Rate,
    sign_up: Rate,
    refresh: Rate,
}

impl Throttle {
    /// With these settings, out of these buckets.
    pub fn new(
        settings: &ThrottleSettings,
        buckets: Arc<dyn TokenBuckets>,
    ) -> Result<Self, SetupError> {
        Ok(Self {
            buckets,
            enabled: settings.enabled,
            account_password: rate("login_per_account", &settings.login_per_account)?,
            password: rate("login_per_address", &settings.login_per_address)?,
            sign_up: rate("signup_per_address", &settings.signup_per_address)?,
            refresh: rate("refresh_per_address", &settings.refresh_per_address)?,
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
    pub async fn take(&self, attempt: Attempt, subject: Subject) -> Result<()> {
        if !self.enabled {
            return Ok(());
        }
        let bucket = subject.bucket(attempt);
        match self.buckets.take(bucket, self.rate(attempt)).await {
            Ok(_) => Ok(()),
            Err(empty) => Err(Error::TooManyRequests {
                retry_after: empty.seconds(),
            }),
        }
    }

    /// Gives a token back: the attempt was none that should count.
    pub async fn give_back(&self, attempt: Attempt, subject: Subject) {
        if self.enabled {
            let bucket = subject.bucket(attempt);
            self.buckets.give_back(bucket, self.rate(attempt)).await;
        }
    }
}

impl Subject {
    const fn bucket(self, attempt: Attempt) -> Bucket {
        Bucket {
            what: attempt.name(),
            subject: self.0,
        }
    }
}

/// The rate that a setting says.
fn rate(setting: &str, settings: &RateSettings) -> Result<Rate, SetupError> {
    let place = format!("throttle.{setting}.per");
    let interval = period(&place, &settings.per)?.saturating_mul(1000);
    Ok(Rate::new(settings.burst, interval))
}

#[cfg(test)]
mod tests {
    use nubo_core::throttle::LocalBuckets;

    use super::*;
    use crate::fake::Hands;

    fn throttle(settings: &ThrottleSettings) -> (Throttle, Arc<Hands>) {
        let clock = Arc::new(Hands::default());
        let buckets = Arc::new(LocalBuckets::new(100, clock.clone()));
        (Throttle::new(settings, buckets).unwrap(), clock)
    }

    fn per_account(burst: u32, per: &str) -> (Throttle, Arc<Hands>) {
        throttle(&ThrottleSettings {
            login_per_account: RateSettings {
                burst,
                per: per.into(),
            },
            ..ThrottleSettings::default()
        })
    }

    async fn try_as(throttle: &Throttle, name: &str) -> Result<(), u32> {
        let taken = throttle.take(Attempt::AccountPassword, Subject::account(name));
        taken.await.map_err(|error| match error {
            Error::TooManyRequests { retry_after } => retry_after,
            other => panic!("{other}"),
        })
    }

    #[tokio::test]
    async fn so_many_at_once_and_then_one_after_each_period() {
        let (throttle, clock) = per_account(3, "1m");
        for _ in 0..3 {
            assert_eq!(try_as(&throttle, "ada").await, Ok(()));
        }
        assert_eq!(try_as(&throttle, "ada").await, Err(60));
        assert_eq!(
            try_as(&throttle, "bob").await,
            Ok(()),
            "others are not concerned"
        );
        clock.pass(59_001);
        assert_eq!(try_as(&throttle, "ada").await, Err(1));
        clock.pass(999);
        assert_eq!(try_as(&throttle, "ada").await, Ok(()));
        assert_eq!(try_as(&throttle, "ada").await, Err(60));
    }

    #[tokio::test]
    async fn what_is_given_back_can_be_taken_again() {
        let (throttle, _) = per_account(1, "1m");
        for _ in 0..5 {
            assert_eq!(try_as(&throttle, "ada").await, Ok(()));
            throttle
                .give_back(Attempt::AccountPassword, Subject::account("ada"))
                .await;
        }
        assert_eq!(try_as(&throttle, "ada").await, Ok(()));
        assert_eq!(try_as(&throttle, "ada").await, Err(60));
    }

    #[tokio::test]
    async fn attempts_of_different_kinds_count_apart() {
        let once = RateSettings {
            burst: 1,
            per: "1m".into(),
        };
        let (throttle, _) = throttle(&ThrottleSettings {
            login_per_account: once.clone(),
            login_per_address: once.clone(),
            signup_per_address: once.clone(),
            refresh_per_address: once,
            ..ThrottleSettings::default()
        });
        let attempts = [
            Attempt::AccountPassword,
            Attempt::Password,
            Attempt::SignUp,
            Attempt::Refresh,
        ];
        let subject = Subject::account("x");
        for attempt in attempts {
            throttle.take(attempt, subject).await.unwrap();
        }
        for attempt in attempts {
            assert!(throttle.take(attempt, subject).await.is_err());
        }
    }

    #[test]
    fn addresses_of_one_network_count_as_one() {
        let subject = |text: &str| Subject::address(text.parse().unwrap());
        assert_eq!(subject("2001:db8::1"), subject("2001:db8::ffff:2"));
        assert_ne!(subject("2001:db8::1"), subject("2001:db8:0:1::1"));
        assert_ne!(subject("10.0.0.1"), subject("10.0.0.2"));
        assert_eq!(subject("10.0.0.1"), subject("::ffff:10.0.0.1"));
    }

    #[tokio::test]
    async fn switched_off_it_lets_everybody_through() {
        let (throttle, _) = throttle(&ThrottleSettings {
            enabled: false,
            ..ThrottleSettings::default()
        });
        for _ in 0..1000 {
            throttle
                .take(Attempt::SignUp, Subject::account("x"))
                .await
                .unwrap();
        }
    }
}
