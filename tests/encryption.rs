//! Encrypted connections to PostgreSQL: which certificates are accepted, and what people are told
//! of the others. Each test has a server of its own, with a certificate that is made for it.

#![allow(clippy::unwrap_used)]

use std::process::Output;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use serde_json::Value as Json;

#[path = "http/server.rs"]
#[allow(dead_code)] // It serves more tests than these.
mod server;

use server::{
    Site,
    truth::postgres::{Database, Server as Postgres},
};

/// Somebody who signs certificates.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// Its own, in PEM.
    certificate: String,
}

impl Authority {
    fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        Self {
            certificate: params.self_signed(&key).unwrap().pem(),
            issuer: Issuer::new(params, key),
        }
    }

    /// A certificate for a server of these names, and its key.
    fn sign(&self, names: &[&str]) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let params = CertificateParams::new(names).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        (certificate.pem(), key.serialize_pem())
    }
}

/// A database server of which a test has the certificates in its hand.
struct Place {
    postgres: Postgres,
    database: Database,
    trusted: Authority,
    foreign: Authority,
}

impl Place {
    /// One that offers no encryption yet.
    fn new() -> Self {
        let postgres = Postgres::start();
        Self {
            database: Database::on(&postgres.url()),
            postgres,
            trusted: Authority::new("trusted"),
            foreign: Authority::new("foreign"),
        }
    }

    /// One with a certificate for these names, signed by the trusted authority.
    fn with_certificate_for(names: &[&str]) -> Self {
        let place = Self::new();
        let (certificate, key) = place.trusted.sign(names);
        place.postgres.encrypt(&certificate, &key);
        place
    }

    /// A configuration that reaches the database by this name of its host.
    fn configured(&self, host: &str, tls: &str) -> Site {
        let site = Site::on_postgres(&self.database.url.replace("127.0.0.1", host));
        site.collection("notes", "name: notes\nfields: { text: text }\n");
        let tls = format!("tiers: {{ truth: {{ tls: {{ {tls} }} }} }}\n");
        site.file("nubo.yaml", &tls);
        site
    }

    /// One that has the server's certificate checked.
    fn site(&self, mode: &str, root: &Authority, host: &str) -> Site {
        let site = self.configured(host, &format!("mode: {mode}, root: root.pem"));
        site.file("root.pem", &root.certificate);
        site
    }

    /// One that has not.
    fn unchecked(&self, mode: &str) -> Site {
        self.configured("localhost", &format!("mode: {mode}"))
    }

    /// The connections that a server of this configuration opens, and which are encrypted.
    #[track_caller]
    fn assert_encrypted(&self, site: &Site) {
        let server = site.start();
        let found = self.database.sql(
            "SELECT count(*) > 1, bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
             WHERE application_name = 'nubo' AND datname = current_database()",
        );
        assert_eq!(found, "t|t", "several connections, all of them encrypted");
        let (state, words) = finding(site, "encryption");
        assert_eq!(state, "ok");
        assert!(words.contains("is encrypted"), "{words}");
        server.stop();
    }

    /// A server of this configuration says this instead of starting, and `nubo doctor` does too.
    #[track_caller]
    fn assert_refused(site: &Site, expected: &[&str]) {
        let refusal = site.refuse_to_start(&["--listen", "127.0.0.1:0"]);
        assert_eq!(refusal.code, Some(1), "{refusal:?}");
        let (state, words) = finding(site, "database");
        assert_eq!(state, "error");
        for said in [&refusal.stderr, &words] {
            for words in expected {
                assert!(said.contains(words), "`{words}` is not in: {said}");
            }
        }
    }
}

/// What `nubo doctor` says of something: how it is, and in words.
#[track_caller]
fn finding(site: &Site, check: &str) -> (String, String) {
    let Output { stdout, stderr, .. } = site.command(&["doctor", "--json"]).output().unwrap();
    let said: Json = serde_json::from_slice(&stdout)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&stderr)));
    let findings = said["findings"].as_array().unwrap();
    let found = findings.iter().find(|finding| finding["check"] == check);
    let found = found.unwrap_or_else(|| panic!("nothing about {check}: {findings:#?}"));
    let text = |key: &str| found[key].as_str().unwrap_or_default().to_owned();
    (text("state"), text("message"))
}

#[test]
fn a_certificate_that_is_trusted_and_made_out_to_the_host_is_accepted() {
    let place = Place::with_certificate_for(&["localhost", "127.0.0.1"]);
    for host in ["localhost", "127.0.0.1"] {
        place.assert_encrypted(&place.site("verify-full", &place.trusted, host));
    }
}

#[test]
fn a_certificate_that_nobody_trusted_has_signed_is_refused() {
    let place = Place::with_certificate_for(&["localhost"]);
    for mode in ["verify-full", "verify-ca"] {
        let site = place.site(mode, &place.foreign, "localhost");
        Place::assert_refused(&site, &["none of the certificates in root.pem", "tls.root"]);
    }
    // Who asks for no more than encryption gets it.
    place.assert_encrypted(&place.unchecked("require"));
}

#[test]
fn a_certificate_of_another_name_is_refused_unless_every_name_will_do() {
    let place = Place::with_certificate_for(&["elsewhere.example"]);
    let site = place.site("verify-full", &place.trusted, "localhost");
    Place::assert_refused(
        &site,
        &[
            "not made out to `localhost`",
            "elsewhere.example",
            "DATABASE_URL",
            "tls.mode",
        ],
    );
    place.assert_encrypted(&place.site("verify-ca", &place.trusted, "localhost"));
}

#[test]
fn a_server_without_encryption_is_refused_where_it_is_demanded() {
    let place = Place::new();
    for site in [
        place.unchecked("require"),
        place.site("verify-full", &place.trusted, "localhost"),
    ] {
        Place::assert_refused(&site, &["offers no encryption", "tls.mode", "ssl = on"]);
    }
    // Where it is not, `nubo doctor` says how it is.
    let site = place.unchecked("prefer");
    site.start().stop();
    let (state, words) = finding(&site, "encryption");
    assert_eq!(state, "ok");
    assert!(words.contains("is not encrypted"), "{words}");
}

#[test]
fn a_file_of_certificates_that_has_none_is_named() {
    let place = Place::with_certificate_for(&["localhost"]);
    let site = place.site("verify-full", &place.trusted, "localhost");
    site.file("root.pem", "nothing of the kind\n");
    Place::assert_refused(
        &site,
        &["no certificate in root.pem (tiers.truth.tls.root)"],
    );
    std::fs::remove_file(site.path("root.pem")).unwrap();
    Place::assert_refused(&site, &["root.pem (tiers.truth.tls.root) cannot be read"]);
}

#[test]
fn certificates_that_nothing_would_be_checked_with_are_refused() {
    let place = Place::with_certificate_for(&["localhost"]);
    for mode in ["require", "prefer", "disable"] {
        let site = place.site(mode, &place.trusted, "localhost");
        Place::assert_refused(&site, &["tls.root names root.pem", "verify-full"]);
    }
}
