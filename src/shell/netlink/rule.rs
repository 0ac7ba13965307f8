//! Rules of ours as rtnetlink messages (`struct fib_rule_hdr`), read and written.
//!
//! Rules name their device; the rest of the program knows devices by index. A rule that is not of the form we write keeps its bytes,
//! for it can still be deleted.

use failoverd::kernel::{IfIndex, Link, Mark, Network, PROTOCOL, Rule, RulePriority, Selector, TableId};

use super::wire::{Body, INET, Malformed, split};

/// `RTM_NEWRULE`.
pub(super) const NEW: u16 = 32;
/// `RTM_DELRULE`.
pub(super) const DELETE: u16 = 33;
/// `RTM_GETRULE`.
pub(super) const GET: u16 = 34;

// Attributes (`FRA_*` of linux/fib_rules.h).
const SRC: u16 = 2;
const FWMARK: u16 = 10;
const FWMASK: u16 = 16;
const RULE_PRIORITY: u16 = 6;
const SUPPRESS_IFGROUP: u16 = 13;
const SUPPRESS_PREFIXLEN: u16 = 14;
const TABLE: u16 = 15;
const OIFNAME: u16 = 17;
const PAD: u16 = 18;
const RULE_PROTOCOL: u16 = 21;

/// `FR_ACT_TO_TBL`.
const TO_TABLE: u8 = 1;
/// `FIB_RULE_INVERT`; the other flags are the kernel's own remarks.
const INVERT: u32 = 2;
/// How the kernel writes "no such thing" for both kinds of suppression.
const NONE: u32 = u32::MAX;

/// A dump request for all IPv4 rules; the kernel cannot filter them.
pub(super) fn dump_request() -> Vec<u8> {
    vec![INET, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
}

/// Reads a rule; `None` if it is not ours. `links` translate its device's name.
pub(super) fn parse(body: &[u8], links: &[Link]) -> Result<Option<Rule>, Malformed> {
    let ([_family, _dst_len, src_len, tos, table, _, _, action, f0, f1, f2, f3], attributes) = split(body)?;
    let flags = u32::from_ne_bytes([f0, f1, f2, f3]);
    let mut rule = Rule {
        priority: RulePriority(0),
        selector: None,
        table: TableId(table.into()),
        suppress_prefix: None,
        raw: Vec::new(),
    };
    let mut protocol = 0;
    let (mut mark, mut mask) = (None, None);
    let mut expressible = action == TO_TABLE && tos == 0 && flags & INVERT == 0;
    for attribute in attributes {
        let selector = match attribute.id() {
            RULE_PRIORITY => {
                rule.priority = RulePriority(attribute.u32()?);
                continue;
            }
            TABLE => {
                rule.table = TableId(attribute.u32()?);
                continue;
            }
            SUPPRESS_PREFIXLEN => {
                rule.suppress_prefix = Some(attribute.u32()?).filter(|length| *length != NONE);
                continue;
            }
            RULE_PROTOCOL => {
                protocol = attribute.u8()?;
                continue;
            }
            FWMARK => {
                mark = Some(attribute.u32()?);
                continue;
            }
            FWMASK => {
                mask = Some(attribute.u32()?);
                continue;
            }
            PAD => continue,
            SUPPRESS_IFGROUP if attribute.u32()? == NONE => continue,
            OIFNAME => {
                let name = attribute.text();
                links.iter().find(|link| link.name == name).map(|link| Selector::OutgoingDevice(link.index))
            }
            SRC => Some(Selector::Source(Network { address: attribute.address()?, prefix: src_len })),
            _ => None,
        };
        expressible &= selector.is_some() && rule.selector.is_none();
        rule.selector = rule.selector.or(selector);
    }
    if protocol != PROTOCOL {
        return Ok(None);
    }
    match (mark, mask) {
        // The kernel tells no mark of 0; we write none either.
        (None, None) => {}
        (Some(value), Some(mask)) if rule.selector.is_none() => {
            rule.selector = Some(Selector::Mark(Mark { value, mask }))
        }
        _ => expressible = false,
    }
    if !expressible || rule.selector.is_none() {
        rule.selector = None;
        rule.raw = deletable(body);
    }
    Ok(Some(rule))
}

/// The kernel's words with its remarks (device gone...) taken out, so that they can be sent back as a deletion.
fn deletable(body: &[u8]) -> Vec<u8> {
    let mut raw = body.to_vec();
    if let Some(flags) = raw.get_mut(8..12) {
        let kept = <[u8; 4]>::try_from(&*flags).map_or(0, u32::from_ne_bytes) & INVERT;
        flags.copy_from_slice(&kept.to_ne_bytes());
    }
    raw
}

/// The device a rule names, if it names one.
pub(super) fn device(rule: &Rule) -> Option<IfIndex> {
    match rule.selector {
        Some(Selector::OutgoingDevice(device)) => Some(device),
        Some(Selector::Source(_) | Selector::Mark(_)) | None => None,
    }
}

/// Writes a rule; `name` is that of its [`device`].
pub(super) fn emit(rule: &Rule, name: Option<&str>) -> Vec<u8> {
    if !rule.raw.is_empty() {
        return rule.raw.clone();
    }
    let source = match rule.selector {
        Some(Selector::Source(source)) => Some(Network::new(source.address, source.prefix)),
        Some(Selector::OutgoingDevice(_) | Selector::Mark(_)) | None => None,
    };
    let src_len = source.map_or(0, |source| source.prefix);
    let table = u8::try_from(rule.table.0).unwrap_or(0);
    let mut body = Body::new(&[INET, 0, src_len, 0, table, 0, 0, TO_TABLE, 0, 0, 0, 0]);
    if let Some(source) = source {
        body.put_address(SRC, source.address);
    }
    if let Some(name) = name {
        let mut bytes = name.as_bytes().to_vec();
        bytes.push(0);
        body.put(OIFNAME, &bytes);
    }
    if let Some(Selector::Mark(mark)) = rule.selector {
        body.put_u32(FWMARK, mark.value);
        body.put_u32(FWMASK, mark.mask);
    }
    body.put_u32(RULE_PRIORITY, rule.priority.0);
    body.put_u32(TABLE, rule.table.0);
    body.put(RULE_PROTOCOL, &[PROTOCOL]);
    if let Some(length) = rule.suppress_prefix {
        body.put_u32(SUPPRESS_PREFIXLEN, length);
    }
    body.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(selector: Selector) -> Rule {
        Rule {
            priority: RulePriority(7000),
            selector: Some(selector),
            table: TableId(7101),
            suppress_prefix: Some(0),
            raw: Vec::new(),
        }
    }

    fn link() -> Link {
        Link {
            index: IfIndex(7),
            name: "wan0".to_owned(),
            up: true,
            carrier: true,
            point_to_point: false,
            rp_filter: 0,
            ignore_linkdown: 0,
        }
    }

    #[test]
    fn a_rule_survives_writing_and_reading() {
        let by_device = rule(Selector::OutgoingDevice(IfIndex(7)));
        assert_eq!(parse(&emit(&by_device, Some("wan0")), &[link()]), Ok(Some(by_device)));
        let by_source = rule(Selector::Source(Network::new("192.168.1.2".parse().unwrap(), 32)));
        assert_eq!(parse(&emit(&by_source, None), &[]), Ok(Some(by_source)));
        let by_mark = rule(Selector::Mark(Mark { value: 0x0100_0000, mask: 0x3f00_0000 }));
        assert_eq!(parse(&emit(&by_mark, None), &[]), Ok(Some(by_mark)));
    }

    #[test]
    fn what_we_do_not_write_keeps_its_bytes() {
        let ours = rule(Selector::OutgoingDevice(IfIndex(7)));
        let mut gone = emit(&ours, Some("wan0"));
        gone[8..12].copy_from_slice(&0x10_u32.to_ne_bytes());
        let found = parse(&gone, &[]).unwrap().unwrap();
        assert_eq!(found.selector, None, "its device is gone");
        assert_eq!(found.raw, emit(&ours, Some("wan0")), "without the kernel's remark about it");

        let mut marked = Body(emit(&ours, Some("wan0")));
        marked.put_u32(10, 1);
        let found = parse(&marked.clone().into_bytes(), &[link()]).unwrap().unwrap();
        assert_eq!((found.selector, found.raw), (None, marked.into_bytes()), "a fwmark beside the device");
    }
}
