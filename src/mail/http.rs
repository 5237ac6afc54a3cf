//! Web requests: TLS by rustls with the system's certificates, proxies as the environment names them.

use std::sync::Arc;
use std::time::Duration;

use ureq::Agent;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig};

/// What makes requests to one place. `ca` are certificates in PEM that are trusted beside the system's; `limit` is the
/// time for a whole request. Replies of whatever status are replies, and no redirect is followed.
///
/// A place on this machine is asked directly, since a proxy would look for it on its own.
pub(super) fn agent(ca: Option<&[u8]>, is_loopback: bool, limit: Duration) -> Agent {
    let system = rustls_native_certs::load_native_certs().certs;
    let own = ureq::tls::parse_pem(ca.unwrap_or_default()).filter_map(|item| match item {
        Ok(PemItem::Certificate(certificate)) => Some(certificate),
        _ => None,
    });
    let roots = system.iter().map(|der| Certificate::from_der(der).to_owned()).chain(own);
    let tls = TlsConfig::builder()
        .root_certs(RootCerts::new_with_certs(&roots.collect::<Vec<_>>()))
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .build();
    let mut config = Agent::config_builder()
        .tls_config(tls)
        .timeout_global(Some(limit))
        .http_status_as_error(false)
        .max_redirects(0)
        .user_agent(concat!("project-runner/", env!("CARGO_PKG_VERSION")));
    if is_loopback {
        config = config.proxy(None);
    }
    config.build().new_agent()
}
