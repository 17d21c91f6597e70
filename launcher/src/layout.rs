//! Fixed layouts by hand, for what travels between ranks and between a supervisor and its child.
//!
//! Little endian; integers at their width; byte strings, text and lists with a u32 count before
//! them. `Take` checks every count against what is left, so that a forged length allocates nothing.
//! What the fields mean is decided by the callers (`bootstrap.rs`, `control.rs`, `roles.rs`).

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// Bytes that are not what their reader expects.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum LayoutError {
    /// The bytes end within a field.
    #[error("message ends within {field}")]
    Short {
        /// What was being read.
        field: &'static str,
    },
    /// A field holds a value that it may not have.
    #[error("message holds a wrong {field}")]
    Wrong {
        /// Which.
        field: &'static str,
    },
    /// Bytes are left behind the last field.
    #[error("message has {left} bytes behind its end")]
    Trailing {
        /// How many.
        left: usize,
    },
}

/// Writes fields one after the other.
#[derive(Default)]
pub(crate) struct Put(pub(crate) Vec<u8>);

impl Put {
    pub(crate) fn u8(&mut self, value: u8) {
        self.0.push(value);
    }

    pub(crate) fn u16(&mut self, value: u16) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub(crate) fn u32(&mut self, value: u32) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub(crate) fn i32(&mut self, value: i32) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub(crate) fn u64(&mut self, value: u64) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub(crate) fn u128(&mut self, value: u128) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// A count; more than 2^32 − 1 of anything is cut, and then fails at the reader.
    pub(crate) fn count(&mut self, count: usize) {
        self.u32(u32::try_from(count).unwrap_or(u32::MAX));
    }

    pub(crate) fn text(&mut self, text: &str) {
        self.count(text.len());
        self.raw(text.as_bytes());
    }

    pub(crate) fn u32s(&mut self, values: &[u32]) {
        self.count(values.len());
        for value in values {
            self.u32(*value);
        }
    }

    pub(crate) fn texts(&mut self, values: &[String]) {
        self.count(values.len());
        for value in values {
            self.text(value);
        }
    }

    /// IPv4 as the mapped IPv6 address, then the port.
    pub(crate) fn addresses(&mut self, addresses: &[SocketAddr]) {
        self.count(addresses.len());
        for address in addresses {
            let octets = match address.ip() {
                IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
                IpAddr::V6(ip) => ip.octets(),
            };
            self.raw(&octets);
            self.u16(address.port());
        }
    }
}

/// Reads fields one after the other.
pub(crate) struct Take<'a> {
    rest: &'a [u8],
}

impl<'a> Take<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) fn raw(&mut self, len: usize, field: &'static str) -> Result<&'a [u8], LayoutError> {
        let (head, rest) = self.rest.split_at_checked(len).ok_or(LayoutError::Short { field })?;
        self.rest = rest;
        Ok(head)
    }

    pub(crate) fn array<const N: usize>(
        &mut self,
        field: &'static str,
    ) -> Result<[u8; N], LayoutError> {
        let (head, rest) = self.rest.split_first_chunk().ok_or(LayoutError::Short { field })?;
        self.rest = rest;
        Ok(*head)
    }

    pub(crate) fn u8(&mut self, field: &'static str) -> Result<u8, LayoutError> {
        Ok(self.array::<1>(field)?[0])
    }

    pub(crate) fn bool(&mut self, field: &'static str) -> Result<bool, LayoutError> {
        match self.u8(field)? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(LayoutError::Wrong { field }),
        }
    }

    pub(crate) fn u16(&mut self, field: &'static str) -> Result<u16, LayoutError> {
        Ok(u16::from_le_bytes(self.array(field)?))
    }

    pub(crate) fn u32(&mut self, field: &'static str) -> Result<u32, LayoutError> {
        Ok(u32::from_le_bytes(self.array(field)?))
    }

    pub(crate) fn i32(&mut self, field: &'static str) -> Result<i32, LayoutError> {
        Ok(i32::from_le_bytes(self.array(field)?))
    }

    pub(crate) fn u64(&mut self, field: &'static str) -> Result<u64, LayoutError> {
        Ok(u64::from_le_bytes(self.array(field)?))
    }

    pub(crate) fn u128(&mut self, field: &'static str) -> Result<u128, LayoutError> {
        Ok(u128::from_le_bytes(self.array(field)?))
    }

    /// A count of elements that take at least `least` bytes each.
    pub(crate) fn count(
        &mut self,
        least: usize,
        field: &'static str,
    ) -> Result<usize, LayoutError> {
        let count = self.u32(field)? as usize;
        if count.saturating_mul(least) > self.rest.len() {
            return Err(LayoutError::Short { field });
        }
        Ok(count)
    }

    pub(crate) fn text(&mut self, field: &'static str) -> Result<String, LayoutError> {
        let len = self.count(1, field)?;
        let bytes = self.raw(len, field)?;
        let text = str::from_utf8(bytes).map_err(|_| LayoutError::Wrong { field })?;
        Ok(text.to_owned())
    }

    pub(crate) fn u32s(&mut self, field: &'static str) -> Result<Vec<u32>, LayoutError> {
        let count = self.count(4, field)?;
        (0..count).map(|_| self.u32(field)).collect()
    }

    pub(crate) fn texts(&mut self, field: &'static str) -> Result<Vec<String>, LayoutError> {
        let count = self.count(4, field)?;
        (0..count).map(|_| self.text(field)).collect()
    }

    pub(crate) fn addresses(
        &mut self,
        field: &'static str,
    ) -> Result<Vec<SocketAddr>, LayoutError> {
        let count = self.count(18, field)?;
        (0..count)
            .map(|_| {
                let ip = Ipv6Addr::from(self.array::<16>(field)?);
                let ip = ip.to_ipv4_mapped().map_or(IpAddr::V6(ip), IpAddr::V4);
                Ok(SocketAddr::new(ip, self.u16(field)?))
            })
            .collect()
    }

    /// Nothing may be left.
    pub(crate) fn end(self) -> Result<(), LayoutError> {
        match self.rest.len() {
            0 => Ok(()),
            left => Err(LayoutError::Trailing { left }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_come_back_as_they_went() {
        let mut put = Put::default();
        put.u8(7);
        put.u16(0x0102);
        put.u128(1 << 100);
        put.text("größe");
        put.u32s(&[3, 0, u32::MAX]);
        let addresses: Vec<SocketAddr> =
            vec!["10.0.0.1:80".parse().unwrap(), "[fe80::1]:9".parse().unwrap()];
        put.addresses(&addresses);
        let mut take = Take::new(&put.0);
        assert_eq!(take.u8("a").unwrap(), 7);
        assert_eq!(take.u16("b").unwrap(), 258);
        assert_eq!(take.u128("c").unwrap(), 1 << 100);
        assert_eq!(take.text("d").unwrap(), "größe");
        assert_eq!(take.u32s("e").unwrap(), [3, 0, u32::MAX]);
        assert_eq!(take.addresses("f").unwrap(), addresses);
        take.end().unwrap();
    }

    #[test]
    fn a_forged_count_is_refused_before_anything_is_allocated() {
        let bytes = u32::MAX.to_le_bytes();
        assert_eq!(Take::new(&bytes).u32s("cores"), Err(LayoutError::Short { field: "cores" }));
        assert_eq!(Take::new(&bytes).text("host"), Err(LayoutError::Short { field: "host" }));
    }

    #[test]
    fn every_cut_of_a_message_is_an_error() {
        let mut put = Put::default();
        put.text("node7");
        put.u64(5);
        for len in 0..put.0.len() {
            let mut take = Take::new(&put.0[..len]);
            let read = take.text("host").and_then(|_| take.u64("memory"));
            assert!(read.is_err(), "{len} bytes were enough");
        }
    }
}
