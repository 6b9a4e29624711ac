//! An estimate for people and for programs. No figure is shown more exactly than it is known.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::cpu::Cpu;
use super::model::{Estimate, Needs, Offer, Traffic};
use super::prices::Prices;
use crate::output;

/// What nobody knows from here. Bytes are shown with a price, and are no part of a sum either.
const NOT_INCLUDED: &str = "load balancers, NAT and public addresses, support, taxes, monitoring, reading records back, \
    the services behind the gateway, and people";

const HEADER: [&str; 9] =
    ["cloud", "type", "price", "machines", "compute", "disks", "redis", "records", "total"];

pub(super) fn text(estimate: &Estimate<'_>, cpu: &Cpu, prices: &Prices) -> String {
    let needs = &estimate.needs;
    let mut out = question(needs, cpu);
    let rows: Vec<[String; 9]> = estimate.offers.iter().map(row).collect();
    let cells = rows.iter().map(|row| row.each_ref().map(String::as_str));
    // Writing to a string cannot fail.
    let _ = writeln!(out, "\n{}", output::table(&HEADER, cells));
    if let Some(cheapest) = estimate.offers.first() {
        let _ = writeln!(
            out,
            "\ncheapest: {} for a thousand million requests; {:.1} % of the CPU in the busiest second, {:.0} Mbit/s a machine",
            dollars(cheapest.per_billion(needs)),
            cheapest.busy * 100.0,
            cheapest.mbit.ceil(),
        );
    }
    out.push_str("\nnot in these sums:\n");
    for traffic in &estimate.traffic {
        let _ = writeln!(
            out,
            "  {}: {} for {} GB to the internet, {} for {} GB between zones",
            traffic.cloud.name,
            dollars(traffic.egress),
            grouped(traffic.egress_gb),
            dollars(traffic.between_zones),
            grouped(traffic.between_zones_gb),
        );
    }
    let _ = writeln!(out, "  (the first tier without its free part; services spread evenly over the zones)");
    let _ = writeln!(out, "  {NOT_INCLUDED}");
    let _ = writeln!(out, "\nList prices as of {}, check them: {}.", prices.as_of, prices.source);
    out
}

fn question(needs: &Needs, cpu: &Cpu) -> String {
    let (mean, busiest) = needs.per_second();
    let mut out = format!(
        "{} requests a month: {} a second, {} in the busiest one\n",
        grouped(needs.requests),
        grouped(mean),
        grouped(busiest),
    );
    let _ = writeln!(out, "{:.1} µs of CPU for each: {}", cpu.us, cpu.source);
    let _ = write!(
        out,
        "{} vCPU in the busiest second, at most {:.0} % of each machine",
        rounded(needs.vcpus()),
        needs.utilisation * 100.0
    );
    if needs.zones > 1.0 {
        let _ = write!(out, ", on {} of {} zones when one is gone", needs.carrying_zones(), needs.zones);
    }
    out.push('\n');
    out
}

fn row(offer: &Offer<'_>) -> [String; 9] {
    let price = if offer.spot { "spot" } else { "on demand" };
    [
        offer.cloud.name.clone(),
        offer.machine.name.clone(),
        price.to_owned(),
        grouped(offer.instances),
        dollars(offer.compute),
        dollars(offer.disks),
        dollars(offer.redis),
        dollars(offer.records),
        dollars(offer.total()),
    ]
}

pub(super) fn json(estimate: &Estimate<'_>, cpu: &Cpu, prices: &Prices) -> Value {
    let needs = &estimate.needs;
    let (mean, busiest) = needs.per_second();
    json!({
        "ok": true,
        "requests_per_month": needs.requests as u64,
        "requests_per_second": { "mean": cents(mean), "busiest": cents(busiest) },
        "cpu": { "us_per_request": cents(cpu.us), "source": cpu.source, "vcpus_busiest": needs.vcpus() },
        "zones": { "all": needs.zones as u64, "carrying": needs.carrying_zones() as u64 },
        "offers": estimate.offers.iter().map(|offer| offer_json(offer, needs)).collect::<Vec<_>>(),
        "not_included": {
            "traffic": estimate.traffic.iter().map(traffic_json).collect::<Vec<_>>(),
            "others": NOT_INCLUDED,
        },
        "prices": { "as_of": prices.as_of, "source": prices.source },
    })
}

fn offer_json(offer: &Offer<'_>, needs: &Needs) -> Value {
    json!({
        "cloud": offer.cloud.name,
        "region": offer.cloud.region,
        "type": offer.machine.name,
        "memory_gib": offer.machine.memory_gib,
        "spot": offer.spot,
        "storage": offer.storage.name,
        "machines": offer.instances as u64,
        "busy_share": offer.busy,
        "mbit_per_machine": cents(offer.mbit),
        "dollars_per_month": {
            "compute": cents(offer.compute),
            "disks": cents(offer.disks),
            "redis": cents(offer.redis),
            "records": cents(offer.records),
            "total": cents(offer.total()),
        },
        "dollars_per_billion": cents(offer.per_billion(needs)),
    })
}

fn traffic_json(traffic: &Traffic<'_>) -> Value {
    json!({
        "cloud": traffic.cloud.name,
        "egress": { "gb": cents(traffic.egress_gb), "dollars": cents(traffic.egress) },
        "between_zones": { "gb": cents(traffic.between_zones_gb), "dollars": cents(traffic.between_zones) },
    })
}

/// To hundredths.
fn cents(number: f64) -> f64 {
    (number * 100.0).round() / 100.0
}

/// To two digits that say something.
fn rounded(number: f64) -> String {
    let digits = if number > 0.0 { (1.0 - number.log10().floor()).clamp(0.0, 9.0) } else { 0.0 };
    format!("{number:.*}", digits as usize)
}

/// Whole dollars from ten on, cents below.
fn dollars(number: f64) -> String {
    if number == 0.0 {
        "-".to_owned()
    } else if number < 9.995 {
        format!("${number:.2}")
    } else {
        format!("${}", grouped(number))
    }
}

/// A whole number with a comma before every three digits; below ten with a tenth where it is none.
fn grouped(number: f64) -> String {
    if number < 9.95 && number.fract() != 0.0 {
        return format!("{number:.1}");
    }
    let digits = format!("{number:.0}");
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_no_more_exact_than_they_are_known() {
        for (number, expect) in [
            (0.0, "-"),
            (0.004, "$0.00"),
            (1.236, "$1.24"),
            (9.99, "$9.99"),
            (9.996, "$10"),
            (1234.56, "$1,235"),
        ] {
            assert_eq!(dollars(number), expect);
        }
        for (number, expect) in
            [(0.0, "0"), (3.0, "3"), (0.76, "0.8"), (380.5, "380"), (1e9, "1,000,000,000"), (9.96, "10")]
        {
            assert_eq!(grouped(number), expect);
        }
        for (number, expect) in
            [(0.0304, "0.030"), (0.00006, "0.000060"), (1.26, "1.3"), (0.999, "1.00"), (304.2, "304")]
        {
            assert_eq!(rounded(number), expect);
        }
    }
}
