//! Our table in nftables: whether it is there, by its handle, and the message that says that it is gone.
//!
//! Asked for each snapshot, by one message; what is in the table is `nft`'s.

use super::transport::{Error, Transport, decode};
use super::wire::{Body, Malformed, split};

/// `NFNLGRP_NFTABLES` of linux/netfilter/nfnetlink.h.
pub(super) const GROUP: u32 = 7;

// `NFNL_SUBSYS_NFTABLES` and `NFT_MSG_*TABLE` of linux/netfilter/nf_tables.h.
const NEW_TABLE: u16 = 10 << 8;
const GET_TABLE: u16 = NEW_TABLE | 1;
const DELETE_TABLE: u16 = NEW_TABLE | 2;
// Attributes (`NFTA_TABLE_*`).
const NAME: u16 = 1;
const HANDLE: u16 = 4;

/// `struct nfgenmsg`: `NFPROTO_INET`, a version and a resource's number.
const HEADER: [u8; 4] = [1, 0, 0, 0];
const TABLE: &str = "failover";

const READ: &str = "read the table of nftables";

/// Whether the kernel has nftables.
#[derive(Default)]
pub(super) enum Filter {
    /// Not asked yet.
    #[default]
    Unknown,
    /// It answers.
    Here(Transport),
    /// It does not. To ask again would make the kernel look for its module each time.
    Nowhere,
}

impl Filter {
    /// The handle of our table, while there is one.
    pub(super) fn handle(&mut self) -> Result<Option<u64>, Error> {
        let transport = match self {
            Self::Here(transport) => transport,
            Self::Nowhere => return Ok(None),
            Self::Unknown => match Transport::to_netfilter() {
                Ok(transport) => {
                    *self = Self::Here(transport);
                    return self.handle();
                }
                Err(_) => {
                    *self = Self::Nowhere;
                    return Ok(None);
                }
            },
        };
        let mut name = Vec::from(TABLE);
        name.push(0);
        let mut body = Body::new(&HEADER);
        body.put(NAME, &name);
        match transport.get(READ, GET_TABLE, body.into_bytes()) {
            Ok(messages) => {
                let found = messages.iter().find(|message| message.kind == NEW_TABLE).ok_or(Malformed);
                decode(READ, found.and_then(|message| handle(&message.body))).map(Some)
            }
            Err(error) => match error.code() {
                Some(super::ENOENT) => Ok(None),
                Some(_) => {
                    *self = Self::Nowhere;
                    Ok(None)
                }
                None => Err(error),
            },
        }
    }
}

fn handle(body: &[u8]) -> Result<u64, Malformed> {
    let ([..], attributes) = split::<4>(body)?;
    let found = attributes.iter().find(|attribute| attribute.id() == HANDLE).ok_or(Malformed)?;
    found.value.try_into().map(u64::from_be_bytes).map_err(|_| Malformed)
}

/// Whether a notice says that our table is gone. One that cannot be read may.
pub(super) fn is_removal(kind: u16, body: &[u8]) -> bool {
    kind == DELETE_TABLE
        && split::<4>(body).map_or(true, |([family, ..], attributes)| {
            family == HEADER[0] && attributes.iter().any(|it| it.id() == NAME && it.text() == TABLE)
        })
}
