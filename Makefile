# Two commands for a fresh machine: `make demo` and `make test`. Both build .venv from the lock when they need to.
PYTHON ?= python3
.DEFAULT_GOAL := help
.PHONY: help environment demo test retest quick preflight lock pages clean

help:            ## this list
	@sed -n 's/^\([a-z]*\): .*##/\1  /p; s/^\([a-z]*\):  *##/\1  /p' $(MAKEFILE_LIST)

environment:
	@$(PYTHON) tools/bootstrap.py

demo: export DUBFLOW_DEMO_CLIP = $(CLIP)
demo: export DUBFLOW_DEMO_TEXT = $(TEXT)
demo: export DUBFLOW_DEMO_LANGUAGE = $(LANGUAGE)
demo: environment ## the main job; CLIP=my.mp4 TEXT="..." LANGUAGE=fr ends with your own clip
	@.venv/bin/dubflow demo

test: environment ## every check and test; answers at once when nothing has changed since they passed
	@.venv/bin/python tools/check.py

retest: environment ## every check and test, once more
	@.venv/bin/python tools/check.py --again

quick: environment ## every check and the quick tests
	@.venv/bin/python tools/check.py --quick

preflight: environment ## check what a cluster would get, without one
	@.venv/bin/dubflow preflight

lock: environment ## resolve the dependencies again; versions that still fit stay
	@.venv/bin/python tools/lock.py

pages: environment ## write the generated parts of docs, and infra/monitoring, again
	@.venv/bin/python tools/licences.py
	@.venv/bin/python tools/error_codes.py
	@.venv/bin/python -m dubflow.platform.preflight.page
	@.venv/bin/python tools/monitoring.py

clean:           ## remove the environment and the demo's output
	rm -rf .venv demo
