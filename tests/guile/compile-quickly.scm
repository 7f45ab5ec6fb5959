;; Compiles one file without optimising it. Arguments: SOURCE OUTPUT
(use-modules (system base compile) (ice-9 match))

;; Guile 3.0 has levels; Guile 2.2 has lists of options and their defaults.
(define (all-off module-name procedure-name)
  (let lp ((options ((module-ref (resolve-module module-name) procedure-name))))
    (match options
      (() '())
      ((name value . rest) (cons* name #f (lp rest))))))

(match (command-line)
  ((_ source output)
   (if (string>=? (effective-version) "3.0")
       (compile-file source #:output-file output #:optimization-level 0)
       (compile-file source #:output-file output
                     #:opts (append (all-off '(language tree-il optimize) 'tree-il-default-optimization-options)
                                    (all-off '(language cps optimize) 'cps-default-optimization-options))))))
