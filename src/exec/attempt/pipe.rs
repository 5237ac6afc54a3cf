//! The streams that an attempt reads.

use tokio::io::{AsyncRead, AsyncReadExt};

/// One output stream until it is closed.
pub(super) struct Pipe(pub(super) Option<Box<dyn AsyncRead + Send + Unpin>>);

impl Pipe {
    /// Reads a piece, 0 bytes when the stream is closed; waits for ever after that. Safe to drop and call again.
    pub(super) async fn read(&mut self, buffer: &mut [u8]) -> usize {
        let Some(reader) = &mut self.0 else { return std::future::pending().await };
        match reader.read(buffer).await {
            Ok(read) if read > 0 => read,
            _ => {
                self.0 = None;
                0
            }
        }
    }

    pub(super) fn is_open(&self) -> bool {
        self.0.is_some()
    }
}
