//! The test EC2 keeps what it promises: its own tests in Python pass, and it ends with the test that started it.

use std::fs;
use std::net::TcpStream;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use gpu_harness_tests::ec2::{self, Ec2, Options};
use gpu_harness_tests::process::{self, HANG, within};

/// Passes the tests of one Python file of fixtures/ec2/tests, or of several: `test_api*`.
fn passes(files: &str) {
    let mut python = ec2::python();
    let pattern = format!("{files}.py");
    let words = ["-m", "unittest", "discover", "--start-directory", "tests", "--top-level-directory", "."];
    let output = python.args(words).args(["--pattern", &pattern]).stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|error| panic!("{python:?}: {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    // Nothing may be left out: there is root here.
    assert!(said.lines().last() == Some("OK"), "{said}");
}

/// A test for each file that makes hosts, so that they run at the same time, and a list of all.
macro_rules! files {
    ($($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                passes(stringify!($name));
            }
        )*
        const FILES: &[&str] = &[$(stringify!($name)),*];
    };
}

files! {
    test_host
    test_host_faults
    test_host_gpus
    test_host_metadata
    test_host_traces
    test_user_data
}

#[test]
fn test_api() {
    passes("test_api*");
}

#[test]
fn no_file_of_python_tests_is_forgotten() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("fixtures").join("ec2/tests");
    let names = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("a file").file_name());
    let names = names.filter_map(|name| Some(name.to_str()?.strip_suffix(".py")?.to_owned()));
    let names = names.filter(|name| name.starts_with("test_") && !name.starts_with("test_api"));
    let mut found: Vec<String> = names.collect();
    found.sort();
    assert_eq!(found, FILES);
}

/// Runs a line of Python against the test EC2, with `ec2` a client of boto3's; what it printed.
fn boto3(ec2: &Ec2, line: &str) -> String {
    let program = format!("import boto3; ec2 = boto3.client('ec2'); print({line})");
    let mut python = ec2::python();
    python.args(["-c", &program]).envs(ec2.environment()).env("AWS_DEFAULT_REGION", "us-east-1");
    let output = python.stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("{python:?}: {error}"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

const LAUNCH: &str = "ec2.run_instances(ImageId=ec2.describe_images(Filters=[{'Name': 'architecture', 'Values': \
     ['x86_64']}])['Images'][0]['ImageId'], InstanceType='g6.xlarge', MinCount=1, MaxCount=1)['Instances'][0]['InstanceId']";

/// The address of an instance whose ssh server answers.
fn reachable(ec2: &Ec2, instance: &str) -> String {
    let line = format!(
        "ec2.describe_instances(InstanceIds=['{instance}'])['Reservations'][0]['Instances'][0].get('PublicIpAddress')"
    );
    let mut address = String::from("None");
    for _ in 0..20 {
        address = boto3(ec2, &line);
        if address != "None" {
            break;
        }
    }
    let port = format!("{address}:22");
    within(HANG, "an ssh server", || TcpStream::connect(&port).is_ok());
    port
}

#[test]
fn an_instance_is_a_real_host_until_it_is_terminated_and_then_nothing_is_left() {
    let ec2 = Ec2::start_kind(Options::default());
    let instance = boto3(&ec2, LAUNCH);
    let port = reachable(&ec2, &instance);
    assert!(ec2.left().to_string().contains(&instance), "{}", ec2.left());
    boto3(&ec2, &format!("ec2.terminate_instances(InstanceIds=['{instance}'])"));
    ec2.await_nothing_that_costs();
    ec2.nothing_is_left();
    assert!(TcpStream::connect_timeout(&port.parse().unwrap(), Duration::from_secs(1)).is_err());
}

#[test]
fn the_hosts_end_with_the_test_that_started_them() {
    let ec2 = Ec2::start_kind(Options::default());
    let instance = boto3(&ec2, LAUNCH);
    let port = reachable(&ec2, &instance);
    assert!(!interfaces(ec2.pid()).is_empty(), "{port}");
    let server = ec2.pid();
    drop(ec2);
    assert!(!process::lives(&server.to_string()));
    assert_eq!(interfaces(server), [""; 0]);
}

/// The network interfaces of a server's hosts: what is sent to an address without one would leave this machine.
fn interfaces(server: u64) -> Vec<String> {
    let names =
        fs::read_dir("/sys/class/net").expect("a folder").map(|entry| entry.expect("a link").file_name());
    let names = names.filter_map(|name| name.into_string().ok());
    names.filter(|name| name.starts_with(&format!("ec2h{server}-"))).collect()
}
