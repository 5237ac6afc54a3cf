//! The client with which token endpoints and web addresses are asked: rustls with ring, the system's certificates, the
//! proxies that the environment names.

use std::sync::Arc;
use std::time::Duration;

use ureq::Agent;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};

/// So many redirects are followed; whoever needs more is going round in circles.
const REDIRECTS: u32 = 3;

/// A client that trusts the system's certificates and those of `ca` (PEM). A request ends after `timeout`, whatever the
/// other side does. An answer is an answer whatever its status says.
///
/// The certificates are read anew for each client, which takes milliseconds: whoever asks twice keeps it.
pub(super) fn agent(ca: Option<&[u8]>, timeout: Duration) -> Agent {
    let own = ca.into_iter().flat_map(parse_pem).filter_map(|item| match item {
        Ok(PemItem::Certificate(certificate)) => Some(certificate),
        _ => None,
    });
    // What the system has and can't be read is left out: a connection that would need it says so.
    let system = rustls_native_certs::load_native_certs().certs;
    let system = system.iter().map(|der| Certificate::from_der(der).to_owned());
    let tls = TlsConfig::builder()
        .root_certs(RootCerts::Specific(Arc::new(own.chain(system).collect())))
        // Of its own, so that the process-wide default stays the caller's.
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .build();
    Agent::config_builder()
        .tls_config(tls)
        .timeout_global(Some(timeout))
        .http_status_as_error(false)
        .max_redirects(REDIRECTS)
        .user_agent(concat!("project-runner/", env!("CARGO_PKG_VERSION")))
        .build()
        .new_agent()
}
