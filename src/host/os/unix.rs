//! On Unix.

/// Whether it is root who asks.
pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}
