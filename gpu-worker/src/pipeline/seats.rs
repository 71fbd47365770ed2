//! On which device each replica of the model sits.

use tch::Device;

/// So many replicas on each device, device by device in turn: where only the first replicas find work, it is spread.
pub(super) fn of(devices: &[Device], each: usize) -> Vec<Device> {
    (0..each).flat_map(|_| devices.iter().copied()).collect()
}

/// How metrics name a device.
pub(super) fn name(device: Device) -> String {
    match device {
        Device::Cuda(index) => format!("cuda:{index}"),
        Device::Cpu => "cpu".to_owned(),
        other => format!("{other:?}").to_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_device_gets_as_many_replicas_and_each_its_first_before_any_its_second() {
        let devices = [Device::Cuda(0), Device::Cuda(1), Device::Cuda(2)];
        let names = Vec::from_iter(of(&devices, 2).into_iter().map(name));
        assert_eq!(names, ["cuda:0", "cuda:1", "cuda:2", "cuda:0", "cuda:1", "cuda:2"]);
        assert_eq!(of(&[Device::Cpu], 3), [Device::Cpu; 3]);
    }
}
