"""python -m pipeline [JOB] [options]; the job is section-speed unless named."""

import sys

from pipeline.jobs import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
