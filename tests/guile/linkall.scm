;; Compiles Scheme files with Guile's own compiler and linker, and keeps what the linker makes of the *same objects* at
;; each alignment. Runs with the linker that support/guiles.py derives from the installed one, which writes
;; $LINKED.SIZE.go for every size, on top of the usual output.
;;
;; Arguments: OUTPUT-FOLDER TARGET SOURCE...   (TARGET is a triplet, or "native")
(use-modules (system base compile) (system base target) (ice-9 match))

(define (stem path) (basename path ".scm"))

(match (command-line)
  ((_ folder target . sources)
   (for-each
    (lambda (source)
      (setenv "LINKED" (string-append folder "/" (stem source)))
      (with-target (if (string=? target "native") %host-type target)
        (lambda ()
          (compile-file source #:output-file (string-append folder "/" (stem source) ".go")))))
    sources)))
