//! Netlink attributes (`struct nlattr`), taken apart without trust and put together.
//!
//! The codecs beside this file read and write with it; nothing here knows what an attribute means. Bytes are kept as the kernel
//! wrote them: a foreign route that is moved away must come back the same, with attributes that nobody here has heard of.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// `NLA_F_NESTED` of linux/netlink.h.
pub(crate) const NESTED: u16 = 0x8000;
/// `NLA_TYPE_MASK` of linux/netlink.h.
const TYPE_MASK: u16 = 0x3fff;

/// `AF_INET` as netlink headers carry it.
pub(crate) const INET: u8 = 2;
/// `AF_INET6` as `struct rtvia` carries it.
pub(crate) const INET6: u16 = 10;

/// Bytes that are not what their header promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// One attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Attribute<'a> {
    /// Type, with its flag bits.
    pub(crate) kind: u16,
    /// Payload.
    pub(crate) value: &'a [u8],
}

impl<'a> Attribute<'a> {
    /// The type without flag bits.
    pub(crate) fn id(&self) -> u16 {
        self.kind & TYPE_MASK
    }

    /// The payload as a number of the host's byte order.
    pub(crate) fn u32(&self) -> Result<u32, Malformed> {
        self.value.try_into().map(u32::from_ne_bytes).map_err(|_| Malformed)
    }

    /// The payload as a flag or small number.
    pub(crate) fn u8(&self) -> Result<u8, Malformed> {
        self.value.first().copied().ok_or(Malformed)
    }

    /// The payload as an IPv4 or IPv6 address, by its length.
    pub(crate) fn address(&self) -> Result<IpAddr, Malformed> {
        address(self.value)
    }

    /// The payload as a string that ends with a zero byte. Device names need not be UTF-8; ours are compared, never shown back to the kernel.
    pub(crate) fn text(&self) -> String {
        let end = self.value.iter().position(|byte| *byte == 0).unwrap_or(self.value.len());
        String::from_utf8_lossy(self.value.get(..end).unwrap_or_default()).into_owned()
    }

    /// The attributes within this one.
    pub(crate) fn nested(&self) -> Result<Vec<Attribute<'a>>, Malformed> {
        attributes(self.value)
    }
}

/// An address of four or sixteen bytes.
pub(crate) fn address(bytes: &[u8]) -> Result<IpAddr, Malformed> {
    if let Ok(v4) = <[u8; 4]>::try_from(bytes) {
        return Ok(Ipv4Addr::from(v4).into());
    }
    <[u8; 16]>::try_from(bytes).map(|v6| Ipv6Addr::from(v6).into()).map_err(|_| Malformed)
}

/// Splits `bytes` into attributes.
pub(crate) fn attributes(bytes: &[u8]) -> Result<Vec<Attribute<'_>>, Malformed> {
    let mut found = Vec::new();
    let mut rest = bytes;
    while let [l0, l1, k0, k1, ..] = rest {
        let length = usize::from(u16::from_ne_bytes([*l0, *l1]));
        let value = rest.get(4..length).ok_or(Malformed)?;
        found.push(Attribute { kind: u16::from_ne_bytes([*k0, *k1]), value });
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(found)
}

/// Splits a message body into its fixed header and its attributes.
pub(crate) fn split<const N: usize>(body: &[u8]) -> Result<([u8; N], Vec<Attribute<'_>>), Malformed> {
    let (header, rest) = body.split_first_chunk::<N>().ok_or(Malformed)?;
    Ok((*header, attributes(rest)?))
}

/// A message body under construction.
#[derive(Clone, Debug, Default)]
pub(crate) struct Body(pub(crate) Vec<u8>);

impl Body {
    /// Begins with a fixed header, whose length is a multiple of four.
    pub(crate) fn new(header: &[u8]) -> Self {
        Self(header.to_vec())
    }

    /// Appends an attribute. One too long for its length field is left out; the kernel then misses it and says so.
    pub(crate) fn put(&mut self, kind: u16, value: &[u8]) {
        let Ok(length) = u16::try_from(value.len() + 4) else { return };
        self.0.extend(length.to_ne_bytes());
        self.0.extend(kind.to_ne_bytes());
        self.0.extend(value);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
    }

    /// Appends a number in the host's byte order.
    pub(crate) fn put_u32(&mut self, kind: u16, value: u32) {
        self.put(kind, &value.to_ne_bytes());
    }

    /// Appends an address.
    pub(crate) fn put_address(&mut self, kind: u16, value: IpAddr) {
        match value {
            IpAddr::V4(v4) => self.put(kind, &v4.octets()),
            IpAddr::V6(v6) => self.put(kind, &v6.octets()),
        }
    }

    /// Appends attributes inside an attribute.
    pub(crate) fn nest(&mut self, kind: u16, inner: &Self) {
        self.put(kind | NESTED, &inner.0);
    }

    /// The finished bytes.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_is_found_again() {
        let mut inner = Body::default();
        inner.put_u32(8, 0);
        let mut body = Body::new(&[1, 2, 3, 4]);
        body.put(3, b"eth0\0");
        body.nest(26, &inner);
        let bytes = body.into_bytes();
        let (header, found) = split::<4>(&bytes).unwrap();
        assert_eq!(header, [1, 2, 3, 4]);
        assert_eq!(found[0].text(), "eth0");
        assert_eq!((found[1].kind, found[1].id()), (26 | NESTED, 26));
        assert_eq!(found[1].nested().unwrap()[0].u32(), Ok(0), "a zero is a value, not an absence");
    }

    #[test]
    fn lengths_that_lie_are_refused() {
        for (bytes, why) in [
            (&[3_u8, 0, 1, 0][..], "shorter than its own header"),
            (&[0, 0, 1, 0, 0, 0, 0, 0], "zero would loop for ever"),
            (&[9, 0, 1, 0, 1, 2, 3, 4], "longer than what is there"),
        ] {
            let bytes: Vec<u8> = if cfg!(target_endian = "big") {
                bytes.chunks(2).flat_map(|pair| pair.iter().rev().copied()).collect()
            } else {
                bytes.to_vec()
            };
            assert_eq!(attributes(&bytes), Err(Malformed), "{why}");
        }
        assert_eq!(attributes(&[0, 0, 0]), Ok(Vec::new()), "a rest too short for a header is padding");
    }
}
