//! Counters of what was moved, by path.

use crate::error::Path;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Bytes moved so far by one process.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct TransportStats {
    /// Control frames sent over TCP, bytes.
    pub control_tcp_sent_bytes: u64,
    /// Control frames received over TCP, bytes.
    pub control_tcp_received_bytes: u64,
    /// Control frames sent within the process, bytes.
    pub control_inproc_sent_bytes: u64,
    /// Control frames received within the process, bytes.
    pub control_inproc_received_bytes: u64,
    /// Objects sent over TCP, payload bytes.
    pub data_tcp_sent_bytes: u64,
    /// Objects received over TCP, payload bytes.
    pub data_tcp_received_bytes: u64,
    /// Objects sent.
    pub objects_sent_count: u64,
    /// Objects received.
    pub objects_received_count: u64,
    /// Connections refused by the handshake.
    pub refused_count: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    control_sent: [AtomicU64; 2],
    control_received: [AtomicU64; 2],
    data_sent: AtomicU64,
    data_received: AtomicU64,
    objects_sent: AtomicU64,
    objects_received: AtomicU64,
    refused: AtomicU64,
}

fn column(path: Path) -> usize {
    match path {
        Path::Inproc => 0,
        Path::Tcp => 1,
    }
}

impl Counters {
    pub(crate) fn control_sent(&self, path: Path, nbytes: usize) {
        self.control_sent[column(path)].fetch_add(nbytes as u64, Relaxed);
    }

    pub(crate) fn control_received(&self, path: Path, nbytes: usize) {
        self.control_received[column(path)].fetch_add(nbytes as u64, Relaxed);
    }

    pub(crate) fn object_sent(&self, nbytes: u64) {
        self.data_sent.fetch_add(nbytes, Relaxed);
        self.objects_sent.fetch_add(1, Relaxed);
    }

    pub(crate) fn object_received(&self, nbytes: u64) {
        self.data_received.fetch_add(nbytes, Relaxed);
        self.objects_received.fetch_add(1, Relaxed);
    }

    pub(crate) fn refused(&self) {
        self.refused.fetch_add(1, Relaxed);
    }

    pub(crate) fn read(&self) -> TransportStats {
        let read = |counter: &AtomicU64| counter.load(Relaxed);
        TransportStats {
            control_tcp_sent_bytes: read(&self.control_sent[1]),
            control_tcp_received_bytes: read(&self.control_received[1]),
            control_inproc_sent_bytes: read(&self.control_sent[0]),
            control_inproc_received_bytes: read(&self.control_received[0]),
            data_tcp_sent_bytes: read(&self.data_sent),
            data_tcp_received_bytes: read(&self.data_received),
            objects_sent_count: read(&self.objects_sent),
            objects_received_count: read(&self.objects_received),
            refused_count: read(&self.refused),
        }
    }
}
