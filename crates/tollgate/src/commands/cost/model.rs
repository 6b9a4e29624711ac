//! The arithmetic: from requests and CPU to machines, from machines, records and prices to dollars.
//!
//! A month has 730 hours, a gigabyte 10⁹ bytes; docs/cost.md has the formulas with an example worked by hand.

use super::prices::{Cloud, Prices, Storage, Type};

/// 365 days by twelve.
const HOURS_PER_MONTH: f64 = 730.0;
const SECONDS_PER_MONTH: f64 = HOURS_PER_MONTH * 3600.0;
const DAYS_PER_MONTH: f64 = HOURS_PER_MONTH / 24.0;
const GB: f64 = 1e9;

/// The disk of a machine: an operating system, and a spool of records.
const DISK_GB: f64 = 8.0;

/// `access_log.batch` as it is by default: an object after a minute, or when its lines have 8 MiB before compression.
const OBJECT_EVERY_S: f64 = 60.0;
const OBJECT_BYTES: f64 = 8_388_608.0;
/// Bytes of a line before compression for each one after it: 466 by 30 when it was measured (docs/cost.md).
const COMPRESSION: f64 = 16.0;

/// A division that comes out even must not become one machine more by rounding.
const EVEN: f64 = 1e-9;

/// What is asked for.
pub(super) struct Needs {
    /// A month.
    pub(super) requests: f64,
    /// The busiest second, as a multiple of the mean.
    pub(super) peak: f64,
    /// Of one request, in microseconds.
    pub(super) cpu_us: f64,
    pub(super) bytes_in: f64,
    pub(super) bytes_out: f64,
    /// The share of a machine's CPU that the busiest second may take, above 0 and up to 1.
    pub(super) utilisation: f64,
    /// At least 1.
    pub(super) zones: f64,
    pub(super) redis: bool,
    /// Of one record, compressed; 0 for none.
    pub(super) record_bytes: f64,
    pub(super) keep_days: f64,
    /// Records go to the cold class.
    pub(super) cold: bool,
}

/// The answer: what is needed, and what it costs with each type of machine, the cheapest first.
pub(super) struct Estimate<'a> {
    pub(super) needs: Needs,
    pub(super) offers: Vec<Offer<'a>>,
    pub(super) traffic: Vec<Traffic<'a>>,
}

/// One type of machine at one price.
pub(super) struct Offer<'a> {
    pub(super) cloud: &'a Cloud,
    pub(super) machine: &'a Type,
    /// Where records go.
    pub(super) storage: &'a Storage,
    pub(super) spot: bool,
    /// In all zones.
    pub(super) instances: f64,
    /// Dollars a month, each.
    pub(super) compute: f64,
    pub(super) disks: f64,
    pub(super) redis: f64,
    pub(super) records: f64,
    /// The share of the machines' CPU that is taken in the busiest second, all zones there.
    pub(super) busy: f64,
    /// Through the network of one machine in the busiest second, in and out together, in megabits a second.
    pub(super) mbit: f64,
}

/// What is no part of an offer's sum: bytes that a cloud charges for.
pub(super) struct Traffic<'a> {
    pub(super) cloud: &'a Cloud,
    /// Gigabytes to clients, and dollars for them.
    pub(super) egress_gb: f64,
    pub(super) egress: f64,
    /// Gigabytes to and from services that are spread evenly over the zones, and dollars for them.
    pub(super) between_zones_gb: f64,
    pub(super) between_zones: f64,
}

impl<'a> Estimate<'a> {
    pub(super) fn new(needs: Needs, prices: &'a Prices) -> Estimate<'a> {
        let mut offers = Vec::new();
        for cloud in &prices.clouds {
            for machine in &cloud.types {
                offers.extend([true, false].map(|spot| needs.offer(cloud, machine, spot)));
            }
        }
        offers.sort_by(|a, b| a.total().total_cmp(&b.total()));
        let traffic = prices.clouds.iter().map(|cloud| needs.traffic(cloud)).collect();
        Estimate { needs, offers, traffic }
    }
}

impl Needs {
    /// Requests a second: in the mean, and in the busiest one.
    pub(super) fn per_second(&self) -> (f64, f64) {
        let mean = self.requests / SECONDS_PER_MONTH;
        (mean, mean * self.peak)
    }

    /// vCPUs that the busiest second takes.
    pub(super) fn vcpus(&self) -> f64 {
        self.per_second().1 * self.cpu_us / 1e6
    }

    /// Zones that carry the busiest second: all but one, where there is more than one.
    pub(super) fn carrying_zones(&self) -> f64 {
        (self.zones - 1.0).max(1.0)
    }

    /// Machines in all zones, at least one in each.
    fn instances(&self, machine: &Type) -> f64 {
        let one = machine.vcpus * machine.sustained * self.utilisation;
        let in_a_zone = (self.vcpus() / self.carrying_zones() / one - EVEN).ceil().max(1.0);
        in_a_zone * self.zones
    }

    fn offer<'a>(&self, cloud: &'a Cloud, machine: &'a Type, spot: bool) -> Offer<'a> {
        let instances = self.instances(machine);
        let hour = if spot { machine.hour * cloud.spot_share } else { machine.hour };
        let storage = if self.cold { &cloud.cold } else { &cloud.standard };
        let capacity = instances * machine.vcpus * machine.sustained;
        // In from the client and out to the service, and back again.
        let bytes = 2.0 * (self.bytes_in + self.bytes_out);
        Offer {
            cloud,
            machine,
            storage,
            spot,
            instances,
            compute: instances * hour * HOURS_PER_MONTH,
            disks: instances * DISK_GB * cloud.disk_gb_month,
            redis: if self.redis { redis(cloud) } else { 0.0 },
            records: self.records(storage, instances),
            busy: self.vcpus() / capacity,
            mbit: self.per_second().1 * bytes * 8.0 / 1e6 / instances,
        }
    }

    /// Objects that are written in a month, and what lies there once the oldest are removed again.
    fn records(&self, storage: &Storage, instances: f64) -> f64 {
        if self.record_bytes == 0.0 {
            return 0.0;
        }
        let by_time = instances * SECONDS_PER_MONTH / OBJECT_EVERY_S;
        let by_size = self.requests * self.record_bytes * COMPRESSION / OBJECT_BYTES;
        let months = self.keep_days.max(storage.least_days) / DAYS_PER_MONTH;
        let kept_gb = self.requests * self.record_bytes / GB * months;
        kept_gb * storage.gb_month + (by_time + by_size) / 1000.0 * storage.put_1000
    }

    fn traffic<'a>(&self, cloud: &'a Cloud) -> Traffic<'a> {
        let egress_gb = self.requests * self.bytes_out / GB;
        let elsewhere = (self.zones - 1.0) / self.zones;
        let between_zones_gb = self.requests * (self.bytes_in + self.bytes_out) / GB * elsewhere;
        Traffic {
            cloud,
            egress_gb,
            egress: egress_gb * cloud.egress_gb,
            between_zones_gb,
            between_zones: between_zones_gb * cloud.between_zones_gb,
        }
    }
}

/// A machine of the cloud's cheapest type, on demand, with its disk.
fn redis(cloud: &Cloud) -> f64 {
    let hour = cloud.types.iter().map(|machine| machine.hour).fold(f64::INFINITY, f64::min);
    hour * HOURS_PER_MONTH + DISK_GB * cloud.disk_gb_month
}

impl Offer<'_> {
    /// Dollars a month.
    pub(super) fn total(&self) -> f64 {
        self.compute + self.disks + self.redis + self.records
    }

    /// Dollars for a thousand million requests.
    pub(super) fn per_billion(&self, needs: &Needs) -> f64 {
        self.total() / needs.requests * 1e9
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(found: f64, expect: f64) {
        assert!((found - expect).abs() <= 1e-9 * expect.abs().max(1.0), "{found}, not {expect}");
    }

    fn machine(name: &str, vcpus: f64, sustained: f64, hour: f64) -> Type {
        Type { name: name.to_owned(), vcpus, sustained, memory_gib: 2.0, hour }
    }

    fn storage(gb_month: f64, put_1000: f64, least_days: f64) -> Storage {
        Storage { name: "s".to_owned(), gb_month, put_1000, least_days }
    }

    /// Prices that can be reckoned with by hand.
    fn prices() -> Prices {
        Prices {
            as_of: "today".to_owned(),
            source: "a test".to_owned(),
            clouds: vec![Cloud {
                name: "c".to_owned(),
                region: "r".to_owned(),
                spot_share: 0.5,
                types: vec![machine("big", 2.0, 1.0, 0.1), machine("slow", 2.0, 0.1, 0.01)],
                disk_gb_month: 0.125,
                standard: storage(0.02, 0.005, 1.0),
                cold: storage(0.004, 0.02, 90.0),
                egress_gb: 0.1,
                between_zones_gb: 0.02,
            }],
        }
    }

    /// A thousand requests a second in the mean.
    const REQUESTS: f64 = 2_628_000_000.0;

    fn needs() -> Needs {
        Needs {
            requests: REQUESTS,
            peak: 4.0,
            cpu_us: 50.0,
            bytes_in: 500.0,
            bytes_out: 1500.0,
            utilisation: 0.5,
            zones: 3.0,
            redis: false,
            record_bytes: 0.0,
            keep_days: 30.0,
            cold: false,
        }
    }

    fn instances(needs: &Needs, vcpus: f64, sustained: f64) -> f64 {
        needs.instances(&machine("m", vcpus, sustained, 1.0))
    }

    #[test]
    fn machines_by_hand() {
        // 4,000 a second at 50 µs are 0.2 vCPU. Half of 2 vCPUs is 1: one machine in each of three zones.
        near(needs().vcpus(), 0.2);
        near(instances(&needs(), 2.0, 1.0), 3.0);
        // A tenth of them sustained: 0.1 a machine; two zones carry 0.1 each, which is one machine exactly.
        near(instances(&needs(), 2.0, 0.1), 3.0);
        // A little more CPU makes it two in each zone.
        near(instances(&Needs { cpu_us: 50.1, ..needs() }, 2.0, 0.1), 6.0);
        // One zone alone carries 0.2: two machines. Two zones: each has to carry all of it.
        near(instances(&Needs { zones: 1.0, ..needs() }, 2.0, 0.1), 2.0);
        near(instances(&Needs { zones: 2.0, ..needs() }, 2.0, 0.1), 4.0);
        // A thousand times the requests: 200 vCPUs, 100 in each of two zones, one machine for each.
        near(instances(&Needs { requests: REQUESTS * 1000.0, ..needs() }, 2.0, 1.0), 300.0);
        // Hardly any: still one in each zone.
        near(instances(&Needs { requests: 1.0, ..needs() }, 2.0, 1.0), 3.0);
    }

    #[test]
    fn dollars_by_hand() {
        let (needs, prices) = (needs(), prices());
        let [big, _] = &prices.clouds[0].types[..] else { panic!("two types") };
        let offer = needs.offer(&prices.clouds[0], big, false);
        // 3 machines × $0.1 × 730 h; 3 × 8 GB × $0.125.
        near(offer.compute, 219.0);
        near(offer.disks, 3.0);
        near(offer.total(), 222.0);
        near(offer.per_billion(&needs), 222.0 / 2.628);
        near(needs.offer(&prices.clouds[0], big, true).compute, 109.5);
        // 0.2 of 6 vCPUs; 4,000 × 2 × 2,000 bytes × 8 bits by three machines.
        near(offer.busy, 0.2 / 6.0);
        near(offer.mbit, 128.0 / 3.0);
    }

    #[test]
    fn redis_is_one_machine_of_the_cheapest_type() {
        let prices = prices();
        let needs = Needs { redis: true, ..needs() };
        let offer = needs.offer(&prices.clouds[0], &prices.clouds[0].types[0], true);
        // $0.01 × 730 h, on demand also where the gateways are not, and 8 GB × $0.125.
        near(offer.redis, 8.3);
        near(offer.total(), 109.5 + 3.0 + 8.3);
    }

    #[test]
    fn records_by_hand() {
        let prices = prices();
        let records =
            |needs: &Needs| needs.offer(&prices.clouds[0], &prices.clouds[0].types[0], false).records;
        // 2,628 million × 100 bytes = 262.8 GB a month, kept for 30 of 30.41… days; objects: 3 × 43,800 by the minute, and
        // 2,628 million × 1,600 bytes by 8 MiB.
        let kept = Needs { record_bytes: 100.0, ..needs() };
        let objects = 131_400.0 + 2_628_000_000.0 * 1600.0 / 8_388_608.0;
        near(records(&kept), 262.8 * 30.0 / (730.0 / 24.0) * 0.02 + objects / 1000.0 * 0.005);
        // Cold storage is paid for 90 days, and each object costs four times as much.
        let cold = Needs { cold: true, ..kept };
        near(records(&cold), 262.8 * 90.0 / (730.0 / 24.0) * 0.004 + objects / 1000.0 * 0.02);
        near(records(&needs()), 0.0);
    }

    #[test]
    fn traffic_by_hand() {
        let prices = prices();
        let traffic = needs().traffic(&prices.clouds[0]);
        // 2,628 million × 1,500 bytes; × 2,000 bytes, two thirds of them to another zone.
        near(traffic.egress_gb, 3942.0);
        near(traffic.egress, 394.2);
        near(traffic.between_zones_gb, 3504.0);
        near(traffic.between_zones, 70.08);
        near(Needs { zones: 1.0, ..needs() }.traffic(&prices.clouds[0]).between_zones, 0.0);
    }

    #[test]
    fn the_cheapest_comes_first() {
        let prices = prices();
        let estimate = Estimate::new(needs(), &prices);
        let order: Vec<_> =
            estimate.offers.iter().map(|offer| (offer.machine.name.as_str(), offer.spot)).collect();
        assert_eq!(order, [("slow", true), ("slow", false), ("big", true), ("big", false)]);
        assert!(estimate.traffic.len() == 1 && estimate.offers.iter().all(|offer| offer.total() > 0.0));
    }
}
