# For mk(1) of plan9port or 9base. `mk` installs for you; INSTALL_PATH is where the commands go (default $HOME/bin).
# The same without mk: ./install, ./check, ./install --uninstall.

MKSHELL=sh

all:V: install

install:V:
	./install

test:V:
	./check

bench:V:
	[ -x .venv/bin/python ] || { echo 'first: ./quickstart, or ./check' >&2; exit 1; }
	for one in bench/*.py; do echo "# $one"; .venv/bin/python "$one" || exit; done

clean:V:
	rm -rf build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -path ./.venv -prune -o -path ./node_modules -prune -o '(' -name __pycache__ -o -name '*.elc' ')' -exec rm -rf {} +

uninstall:V:
	./install --uninstall
