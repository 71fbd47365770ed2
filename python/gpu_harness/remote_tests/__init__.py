"""pytest's tests on a node: one pytest there for the session here, whose reports become reports here.

| module | question it answers |
| --- | --- |
| `gpu` | has this machine a GPU? |
| `command` | what is gpu-harness asked to do? |
| `job` | what does the pytest on the node have to know? |
| `worker` | what runs on the node? (It is sent there: it needs Python and pytest, and nothing of this package.) |
| `session` | what has the node said so far? |
| `telling` | how is what the node said told to the pytest here? |
| `elsewhere` | which files of tests can be imported on the node alone? |
| `loop` | in which order are tests run and told? |
| `shared` | how do the workers of pytest-xdist share the one session? |
"""
