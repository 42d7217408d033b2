//! Bytes in and out of rows: fixed little-endian numbers, strings behind their length. Keys are big-endian, so that
//! they sort.

use crate::ids::{EndpointUid, Seq};

/// Appends fields to a row.
pub(super) struct Encoder(pub(super) Vec<u8>);

impl Encoder {
    pub(super) fn with_capacity(bytes: usize) -> Self {
        Self(Vec::with_capacity(bytes))
    }

    pub(super) fn u8(&mut self, value: u8) {
        self.0.push(value);
    }

    pub(super) fn u16(&mut self, value: u16) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub(super) fn u32(&mut self, value: u32) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub(super) fn u64(&mut self, value: u64) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub(super) fn raw(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// A string or body of up to 4 GiB, behind its length; what is past that is cut.
    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        self.u32(length);
        let kept = usize::try_from(length).unwrap_or(usize::MAX).min(bytes.len());
        self.0.extend_from_slice(bytes.get(..kept).unwrap_or_default());
    }

    pub(super) fn option_u64(&mut self, value: Option<u64>) {
        self.u8(u8::from(value.is_some()));
        self.u64(value.unwrap_or_default());
    }

    pub(super) fn option_str(&mut self, value: Option<&str>) {
        self.u8(u8::from(value.is_some()));
        if let Some(text) = value {
            self.bytes(text.as_bytes());
        }
    }
}

/// Takes fields off a row. `None`: the row is shorter than its fields say, or not what it should be.
pub(super) struct Decoder<'a> {
    rest: &'a [u8],
    taken: usize,
}

impl<'a> Decoder<'a> {
    pub(super) const fn new(row: &'a [u8]) -> Self {
        Self { rest: row, taken: 0 }
    }

    /// How many bytes were taken so far.
    pub(super) const fn taken(&self) -> usize {
        self.taken
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.rest.split_first_chunk::<N>()?;
        self.rest = rest;
        self.taken += N;
        Some(*head)
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    pub(super) fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.u32()?).ok()?;
        let (head, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        self.taken += length;
        Some(head)
    }

    pub(super) fn take(&mut self, bytes: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.rest.split_at_checked(bytes)?;
        self.rest = rest;
        self.taken += bytes;
        Some(head)
    }

    pub(super) fn str(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.bytes()?).ok()
    }

    pub(super) fn option_u64(&mut self) -> Option<Option<u64>> {
        let present = self.u8()? == 1;
        let value = self.u64()?;
        Some(present.then_some(value))
    }

    pub(super) fn option_str(&mut self) -> Option<Option<&'a str>> {
        if self.u8()? == 1 { Some(Some(self.str()?)) } else { Some(None) }
    }
}

/// The key of a row that is found by a sequence number.
pub(super) const fn seq_key(seq: Seq) -> [u8; 8] {
    seq.0.to_be_bytes()
}

/// The key of a delivery: its endpoint's rows lie together, in order.
pub(super) fn delivery_key(endpoint: EndpointUid, seq: Seq) -> [u8; 12] {
    let mut key = [0; 12];
    let (head, tail) = key.split_at_mut(4);
    head.copy_from_slice(&endpoint.0.to_be_bytes());
    tail.copy_from_slice(&seq.0.to_be_bytes());
    key
}

/// The endpoint and sequence of a delivery's key.
pub(super) fn split_delivery_key(key: &[u8]) -> Option<(EndpointUid, Seq)> {
    let (uid, rest) = key.split_first_chunk::<4>()?;
    let seq = rest.try_into().ok()?;
    Some((EndpointUid(u32::from_be_bytes(*uid)), Seq(u64::from_be_bytes(seq))))
}

/// The sequence of a key made by [`seq_key`].
pub(super) fn split_seq_key(key: &[u8]) -> Option<u64> {
    key.try_into().ok().map(u64::from_be_bytes)
}
