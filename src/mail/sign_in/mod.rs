//! Signing in by OAuth 2.0: tokens are asked of their issuer, kept for this account of the operating system alone, and
//! renewed. What the issuer refuses is put into words. It knows nothing of mail servers.

mod endpoint;
mod explain;
mod file;
mod nobody;
mod os;
mod tokens;

pub use endpoint::DeviceCode;
pub(crate) use nobody::NoTokens;
pub use tokens::{SignedIn, Tokens};
