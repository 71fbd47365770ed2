"""Prints the shells of a CI file as JSON: those of the job in order, the one after them, and the job's variables."""

import json
import sys

from ruamel.yaml import YAML

service = sys.argv[1]
file = YAML(typ="safe").load(sys.stdin)
if service == "bitbucket":
    step = file["definitions"]["steps"][0]["step"]
    job, after, variables = ["\n".join(step["script"])], "\n".join(step["after-script"]), {}
elif service == "gitlab":
    step = file["gpu"]
    job, after, variables = ["\n".join(step["script"])], "\n".join(step["after_script"]), step["variables"]
else:
    shells = {step["name"]: step["run"] for step in file["jobs"]["gpu"]["steps"] if "run" in step}
    after = shells.pop("End what the run has left")
    job, variables = list(shells.values()), file["env"]
json.dump({"job": job, "after": after, "variables": variables}, sys.stdout)
